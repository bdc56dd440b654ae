// Entries as the compiler would emit them, and their manifest.
#include "FakeProgram.h"
#include <cstring>

namespace {

const char *manifestText = R"({"magic":"bpt-manifest","version":1,"compiler":"0.1.0","target":"cpu",
"cpu":{"name":"any","features":["+64bit","+sse2"]},"thread_scratch":256,"entries":[
{"name":"scale","symbol":"scale","args":[{"name":"x","dtype":"F32","shape":[-1,64]},{"name":"factor","dtype":"F32","shape":[]}],
 "results":[{"name":"y","dtype":"F32","shape":["d0",64],"slot":1}],
 "slots":[{"name":"early","kind":"workspace","bytes":"d0 256 *","first":0,"last":0},
          {"name":"y","kind":"result","bytes":"d0 256 *","first":1,"last":2}],"flops":"d0 64 *"},
{"name":"step","symbol":"step","args":[{"name":"w","dtype":"F32","shape":[8],"parameter":true,"init":{"kind":"ones"}},
  {"name":"tokens","dtype":"I32","shape":[4],"range":10,"ignore_index":-100}],
 "results":[{"name":"count","dtype":"I64","shape":[],"slot":0},{"name":"w","dtype":"F32","shape":[8],"argument":0}],
 "slots":[{"name":"count","kind":"result","bytes":8,"first":0,"last":1}]},
{"name":"fail","symbol":"fail","args":[],"results":[],"slots":[]}]})";

struct ScaleClosure {
  const float *x;
  float *y;
  float factor;
};

void scaleRow(void *closure, int64_t row, uint8_t *scratch) {
  auto &data = *static_cast<ScaleClosure *>(closure);
  auto *values = reinterpret_cast<float *>(scratch);
  for (int i = 0; i < 64; ++i)
    values[i] = data.factor * data.x[row * 64 + i];
  std::memcpy(data.y + row * 64, values, 256);
}

int32_t scale(bpt_context *context, void *const *args, const int64_t *dims, uint8_t *arena, const int64_t *offsets) {
  std::memset(arena + offsets[0], 0xff, static_cast<size_t>(dims[0]) * 256);
  ScaleClosure closure = {static_cast<const float *>(args[0]), reinterpret_cast<float *>(arena + offsets[1]),
                          *static_cast<const float *>(args[1])};
  bpt_parallel_for(context, scaleRow, &closure, dims[0]);
  return 0;
}

int32_t step(bpt_context *, void *const *args, const int64_t *, uint8_t *arena, const int64_t *offsets) {
  auto *w = static_cast<float *>(args[0]);
  for (int i = 0; i < 8; ++i)
    w[i] += 1;
  int64_t count = 0;
  for (int i = 0; i < 4; ++i)
    count += static_cast<const int32_t *>(args[1])[i] >= 0;
  std::memcpy(arena + offsets[0], &count, 8);
  return 0;
}

int32_t fail(bpt_context *, void *const *, const int64_t *, uint8_t *, const int64_t *) { return 7; }

} // namespace

bpt::Manifest fakeManifest() { return bpt::parseManifest(manifestText).take(); }

bpt::Expected<bpt::Program> fakeProgram(bpt::Manifest manifest) {
  return bpt::Program::create(std::move(manifest), [](const std::string &symbol) -> void * {
    if (symbol == "scale")
      return reinterpret_cast<void *>(&scale);
    if (symbol == "step")
      return reinterpret_cast<void *>(&step);
    return symbol == "fail" ? reinterpret_cast<void *>(&fail) : nullptr;
  });
}
