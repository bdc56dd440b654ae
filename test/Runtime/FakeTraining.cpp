// The entries of the fake training program and their manifest.
#include "FakeTraining.h"
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <vector>

using namespace bpt;

FakeTraining fake;

namespace {

FakeModel compiled; // what the functions below were "compiled" for

/// Mean cross-entropy over `count` positions; adds the gradients where they are wanted.
double crossEntropy(const float *table, const float *bias, const int32_t *tokens, const int32_t *targets, int64_t count,
                    float *tableGradient, float *biasGradient) {
  const int v = compiled.vocabulary;
  double loss = 0;
  std::vector<double> p(static_cast<size_t>(v));
  for (int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int j = 0; j < v; ++j)
      sum += p[j] = std::exp(table[tokens[i] * v + j] + bias[j]);
    loss -= std::log(p[targets[i]] / sum) / count;
    for (int j = 0; j < v && tableGradient; ++j) {
      auto gradient = static_cast<float>((p[j] / sum - (j == targets[i])) / count);
      tableGradient[tokens[i] * v + j] += gradient;
      biasGradient[j] += gradient;
    }
  }
  return loss;
}

void adam(float *value, float *m, float *v, const float *gradient, int64_t n, int64_t step, float lr) {
  for (int64_t i = 0; i < n; ++i) {
    m[i] = 0.9f * m[i] + 0.1f * gradient[i];
    v[i] = 0.95f * v[i] + 0.05f * gradient[i] * gradient[i];
    float corrected = m[i] / (1 - std::pow(0.9f, static_cast<float>(step)));
    value[i] -= lr * corrected / (std::sqrt(v[i] / (1 - std::pow(0.95f, static_cast<float>(step)))) + 1e-8f);
  }
}

int32_t trainStep(bpt_context *, void *const *args, const int64_t *dims, uint8_t *arena, const int64_t *offsets) {
  const int v = compiled.vocabulary;
  auto at = [&](int i) { return static_cast<float *>(args[i]); };
  int64_t step = *static_cast<int64_t *>(args[6]);
  int next = 8;
  if (compiled.seeded)
    fake.seeds.push_back(*static_cast<int64_t *>(args[next++]));
  int64_t count = dims[0] * dims[1] * (compiled.accumulates ? dims[2] : 1);
  auto *tableGradient = reinterpret_cast<float *>(arena + offsets[2]);
  float *biasGradient = tableGradient + v * v;
  std::memset(tableGradient, 0, sizeof(float) * static_cast<size_t>(v * v + v));
  auto loss =
      static_cast<float>(crossEntropy(at(0), at(1), static_cast<int32_t *>(args[next]),
                                      static_cast<int32_t *>(args[next + 1]), count, tableGradient, biasGradient));
  float norm = 0;
  for (int i = 0; i < v * v + v; ++i)
    norm += tableGradient[i] * tableGradient[i];
  norm = std::sqrt(norm);
  float lr = *at(7);
  adam(at(0), at(2), at(4), tableGradient, v * v, step, lr);
  adam(at(1), at(3), at(5), biasGradient, v, step, lr);
  if (step == fake.nanAt)
    loss = std::numeric_limits<float>::quiet_NaN();
  if (step == fake.infiniteNormAt)
    norm = std::numeric_limits<float>::infinity();
  std::memcpy(arena + offsets[0], &loss, 4);
  std::memcpy(arena + offsets[1], &norm, 4);
  ++fake.steps;
  if (fake.atStep)
    fake.atStep(step);
  return 0;
}

/// The parameters of an inference entry as f32.
std::vector<float> widened(const void *data, int64_t n) {
  DataType type = compiled.halfInference ? DataType::BF16 : DataType::F32;
  std::vector<float> values;
  for (int64_t i = 0; i < n; ++i)
    values.push_back(static_cast<float>(loadAsDouble(type, data, i)));
  return values;
}

int32_t lossOf(bpt_context *, void *const *args, const int64_t *dims, uint8_t *arena, const int64_t *offsets) {
  const int v = compiled.vocabulary;
  std::vector<float> table = widened(args[0], v * v), bias = widened(args[1], v);
  auto loss = static_cast<float>(crossEntropy(table.data(), bias.data(), static_cast<int32_t *>(args[2]),
                                              static_cast<int32_t *>(args[3]), dims[0] * dims[1], nullptr, nullptr));
  std::memcpy(arena + offsets[0], &loss, 4);
  if (fake.atLoss)
    fake.atLoss();
  return 0;
}

int32_t nextLogits(bpt_context *, void *const *args, const int64_t *, uint8_t *arena, const int64_t *offsets) {
  const int v = compiled.vocabulary;
  std::vector<float> table = widened(args[0], v * v), bias = widened(args[1], v);
  int32_t token = static_cast<int32_t *>(args[2])[*static_cast<int64_t *>(args[3])];
  for (int j = 0; j < v; ++j) {
    float logit = table[token * v + j] + bias[j];
    std::memcpy(arena + offsets[0] + 4 * j, &logit, 4);
  }
  return 0;
}

std::string parameters(const char *type, const std::string &suffix, bool declared, int v) {
  std::string normal = declared ? R"(,"parameter":true,"init":{"kind":"normal","std":0.02},"decay":true)" : "";
  std::string zeros = declared ? R"(,"parameter":true,"init":{"kind":"zeros"})" : "";
  return fmt::format(
      R"({{"name":"table.weight{0}","dtype":"{1}","shape":[{2},{2}]{3}}},{{"name":"table.bias{0}","dtype":"{1}","shape":[{2}]{4}}})",
      suffix, type, v, normal, zeros);
}

std::string integers(const char *name, const char *shape, int v) {
  return fmt::format(R"({{"name":"{}","dtype":"I32","shape":{},"range":{}{}}})", name, shape, v,
                     std::string_view(name) == "targets" ? R"(,"ignore_index":-100)" : "");
}

} // namespace

Manifest fakeTrainingManifest(const FakeModel &model) {
  const int v = model.vocabulary;
  const char *tokens = model.accumulates ? "[-1,-1,-1]" : "[-1,-1]";
  std::string arguments = parameters("F32", "", true, v) + "," + parameters("F32", ".m", false, v) + "," +
                          parameters("F32", ".v", false, v) +
                          R"(,{"name":"step","dtype":"I64","shape":[]},{"name":"lr","dtype":"F32","shape":[]},)";
  if (model.seeded)
    arguments += R"({"name":"seed","dtype":"I64","shape":[]},)";
  arguments += integers("tokens", tokens, v) + "," + integers("targets", tokens, v);
  std::string results =
      R"({"name":"loss","dtype":"F32","shape":[],"slot":0},{"name":"grad_norm","dtype":"F32","shape":[],"slot":1})";
  const char *names[] = {"table.weight", "table.bias",     "table.weight.m",
                         "table.bias.m", "table.weight.v", "table.bias.v"};
  for (int i = 0; i < 6; ++i)
    results += fmt::format(R"(,{{"name":"{}","dtype":"F32","shape":[{}],"argument":{}}})", names[i],
                           i % 2 ? fmt::format("{}", v) : fmt::format("{0},{0}", v), i);
  std::string entries = fmt::format(
      R"({{"name":"train_step","symbol":"train_step","args":[{}],"results":[{}],"flops":"d0 d1 * {} *","slots":[)"
      R"({{"name":"loss","kind":"result","bytes":4,"first":2,"last":3}},{{"name":"norm","kind":"result","bytes":4,"first":2,"last":3}},)"
      R"({{"name":"gradients","kind":"gradient","bytes":{},"first":0,"last":3}}]}})",
      arguments, results, 6 * v, 4 * (v * v + v));
  const char *type = model.halfInference ? "BF16" : "F32";
  if (model.inference)
    entries += fmt::format(
        R"(,{{"name":"loss","symbol":"loss","args":[{},{},{}],"results":[{{"name":"loss","dtype":"F32","shape":[],"slot":0}}],)"
        R"("slots":[{{"name":"loss","kind":"result","bytes":4,"first":0,"last":1}}]}},)"
        R"({{"name":"next_logits","symbol":"next_logits","args":[{},{},{{"name":"position","dtype":"I64","shape":[]}}],)"
        R"("results":[{{"name":"logits","dtype":"F32","shape":[{}],"slot":0}}],)"
        R"("slots":[{{"name":"logits","kind":"result","bytes":{},"first":0,"last":1}}]}})",
        parameters(type, "", true, v), integers("tokens", "[-1,-1]", v), integers("targets", "[-1,-1]", v),
        parameters(type, "", true, v), integers("tokens", "[-1,-1]", v), v, 4 * v);
  return parseManifest(
             R"({"magic":"bpt-manifest","version":1,"compiler":"0.1.0","target":"cpu","cpu":{"name":"any","features":[]},)"
             R"("thread_scratch":64,"entries":[)" +
             entries + "]}")
      .take();
}

Expected<Program> fakeTrainingProgram(const FakeModel &model) {
  compiled = model;
  return Program::create(fakeTrainingManifest(model), [](const std::string &symbol) -> void * {
    if (symbol == "train_step")
      return reinterpret_cast<void *>(&trainStep);
    if (symbol == "loss")
      return reinterpret_cast<void *>(&lossOf);
    return reinterpret_cast<void *>(&nextLogits);
  });
}

Expected<CompiledTraining> fakeCompiledTraining(const FakeModel &model) {
  Expected<Program> program = fakeTrainingProgram(model);
  if (!program)
    return program.takeError();
  return CompiledTraining{program.take()};
}

std::vector<ArgumentInfo> fakeSignature(const FakeModel &model) {
  Manifest manifest = fakeTrainingManifest({model.vocabulary, false, false, model.halfInference, true});
  return (*manifest.find("loss"))->arguments;
}
