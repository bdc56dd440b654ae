// A CUDA driver for tests: it has memory of its own, launches nothing, and fails as FAKE_CUDA says.
//   FAKE_CUDA=old|none|ampere|full|crash   an old driver, no GPU, no Hopper GPU, no free memory, a failing kernel
//   FAKE_CUDA=copies                       says what is copied beside the kernels, and waited for
//   FAKE_CUDA=tokens                       says what is copied in pieces of 192 bytes
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static bool is(const char *wanted) {
  const char *given = std::getenv("FAKE_CUDA");
  return given && std::strcmp(given, wanted) == 0;
}

static constexpr int invalidValue = 1, outOfMemory = 2, illegalAddress = 700;

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int *version) { return *version = is("old") ? 11020 : 13000, 0; }
int cuDeviceGetCount(int *count) { return *count = is("none") ? 0 : 1, 0; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
int cuDeviceGetName(char *name, int length, int) {
  std::snprintf(name, static_cast<size_t>(length), "Fake %s", is("ampere") ? "A100" : "H200");
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == 75 ? (is("ampere") ? 8 : 9) : attribute == 76 ? 0 : 4;
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) { return *context = context, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(void *) { return 0; }
int cuMemGetInfo_v2(size_t *free, size_t *total) {
  return *free = is("full") ? 1 << 20 : size_t(140) << 30, *total = size_t(141) << 30, 0;
}
int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
  if (is("full"))
    return outOfMemory;
  *address = reinterpret_cast<unsigned long long>(std::calloc(bytes, 1));
  return 0;
}
int cuMemFree_v2(unsigned long long address) { return std::free(reinterpret_cast<void *>(address)), 0; }
int cuMemHostAlloc(void **address, size_t bytes, unsigned) { return *address = std::calloc(bytes, 1), 0; }
int cuMemFreeHost(void *address) { return std::free(address), 0; }
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *) {
  std::memcpy(reinterpret_cast<void *>(to), from, bytes);
  if (is("tokens") && bytes == 192)
    std::fprintf(stderr, "copy of %d ..\n", *static_cast<const int *>(from));
  return 0;
}
int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *) {
  std::memcpy(to, reinterpret_cast<void *>(from), bytes);
  return 0;
}
int cuMemcpyAsync(unsigned long long to, unsigned long long from, size_t bytes, void *) {
  std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), bytes);
  if (is("copies"))
    std::fprintf(stderr, "copy of %zu bytes\n", bytes);
  return 0;
}
int cuEventCreate(void **event, unsigned) { return *event = event, 0; }
int cuEventDestroy_v2(void *) { return 0; }
int cuEventRecord(void *, void *) { return 0; }
int cuStreamWaitEvent(void *, void *, unsigned) {
  return is("copies") ? std::fprintf(stderr, "wait for an event\n"), 0 : 0;
}
int cuStreamCreate(void **stream, unsigned) { return *stream = stream, 0; }
int cuStreamSynchronize(void *) { return is("crash") ? illegalAddress : 0; }
int cuStreamDestroy_v2(void *) { return 0; }
/// Code is a cubin (ELF) or PTX text that ends.
int cuModuleLoadDataEx(void **module, const void *image, unsigned, int *, void **) {
  bool known = std::memcmp(image, "\177ELF", 4) == 0 || std::strstr(static_cast<const char *>(image), ".version");
  return *module = module, known ? 0 : invalidValue;
}
int cuModuleUnload(void *) { return 0; }
int cuModuleGetFunction(void **function, void *, const char *name) { return *function = const_cast<char *>(name), 0; }
int cuFuncSetAttribute(void *, int, int) { return 0; }
/// Of every kernel four bytes of the first parameter are looked at.
int cuFuncGetParamInfo(void *, size_t parameter, size_t *offset, size_t *bytes) {
  return *offset = 0, *bytes = 4, parameter == 0 ? 0 : invalidValue;
}
int cuStreamBeginCapture_v2(void *, int) { return std::fprintf(stderr, "recording\n"), 0; }
int cuStreamEndCapture(void *, void **graph) { return std::fprintf(stderr, "recorded\n"), *graph = graph, 0; }
int cuGraphInstantiateWithFlags(void **executable, void *, unsigned long long) { return *executable = executable, 0; }
int cuGraphLaunch(void *, void *) { return std::fprintf(stderr, "launch of a graph\n"), 0; }
int cuGraphExecDestroy(void *) { return 0; }
int cuGraphDestroy(void *) { return 0; }
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned, unsigned,
                   unsigned bytes, void *, void **, void **) {
  std::fprintf(stderr, "launch %s: %u x %u x %u blocks of %u threads, %u bytes\n", static_cast<char *>(function), x, y,
               z, threads, bytes);
  return 0;
}
int cuTensorMapEncodeTiled(void *map, int type, unsigned rank, void *, const uint64_t *sizes, const uint64_t *strides,
                           const uint32_t *box, const uint32_t *, int, int swizzle, int, int) {
  std::memset(map, 0, 128);
  std::fprintf(stderr, "tensor map: type %d, swizzle %d, rank %u:", type, swizzle, rank);
  for (unsigned i = 0; i < rank; ++i)
    std::fprintf(stderr, " %llu (box %u)", static_cast<unsigned long long>(sizes[i]), box[i]);
  std::fprintf(stderr, ", row stride %llu\n", rank > 1 ? static_cast<unsigned long long>(strides[0]) : 0);
  return 0;
}
int cuGetErrorName(int error, const char **name) {
  *name = error == outOfMemory      ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == illegalAddress ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                                    : "CUDA_ERROR_INVALID_VALUE";
  return 0;
}
int cuGetErrorString(int error, const char **text) {
  *text = error == outOfMemory      ? "out of memory"
          : error == illegalAddress ? "an illegal memory access was encountered"
                                    : "invalid argument";
  return 0;
}
}
