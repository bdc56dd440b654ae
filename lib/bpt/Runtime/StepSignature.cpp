// What the arguments of a training step mean, by their names, and the sizes of its batch.
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/TrainProgram.h"
#include <algorithm>
#include <fmt/format.h>

namespace bpt {

namespace {

using Position = std::optional<size_t>;

Position findArgument(const EntryInfo &entry, const std::string &name) {
  for (size_t i = 0; i < entry.arguments.size(); ++i)
    if (entry.arguments[i].name == name)
      return i;
  return std::nullopt;
}

Position findResult(const EntryInfo &entry, const std::string &name) {
  for (size_t i = 0; i < entry.results.size(); ++i)
    if (entry.results[i].name == name)
      return i;
  return std::nullopt;
}

Error missing(const EntryInfo &entry, const char *kind, const std::string &name) {
  return badInput(
      fmt::format("entry {}: expected {} called {}, but there is none", inQuotes(entry.name), kind, inQuotes(name)));
}

Status requireArgument(const EntryInfo &entry, const std::string &name, size_t &position) {
  Position found = findArgument(entry, name);
  if (!found)
    return missing(entry, "an argument", name);
  position = *found;
  return {};
}

Status requireResult(const EntryInfo &entry, const std::string &name, size_t &position) {
  Position found = findResult(entry, name);
  if (!found)
    return missing(entry, "a result", name);
  position = *found;
  return {};
}

/// The argument is a result, too: updated where it is.
bool updatedInPlace(const EntryInfo &entry, size_t argument) {
  return std::any_of(entry.results.begin(), entry.results.end(), [&](const ResultInfo &result) {
    return result.argument && static_cast<size_t>(*result.argument) == argument;
  });
}

Status addParameter(const EntryInfo &entry, size_t position, StepSignature &step) {
  const ArgumentInfo &argument = entry.arguments[position];
  size_t first = 0, second = 0;
  if (Status status = requireArgument(entry, argument.name + ".m", first); !status)
    return status;
  if (Status status = requireArgument(entry, argument.name + ".v", second); !status)
    return status;
  for (size_t p : {position, first, second}) {
    const ArgumentInfo &part = entry.arguments[p];
    bool isStatic = std::none_of(part.shape.begin(), part.shape.end(), [](int64_t size) { return size < 0; });
    if (!isFloat(part.type) || !isStatic || part.shape != argument.shape)
      return badInput(fmt::format("entry {}: {}: expected a float tensor of the static shape of {}, but got {}",
                                  inQuotes(entry.name), inQuotes(part.name), inQuotes(argument.name),
                                  describeType(part.type, part.shape)));
    if (!updatedInPlace(entry, p))
      return badInput(fmt::format("entry {}: {}: expected a result that updates it in place, but there is none",
                                  inQuotes(entry.name), inQuotes(part.name)));
  }
  step.parameters.push_back(
      {argument.name, argument.shape, argument.type, entry.arguments[first].type, argument.init.value_or(Init{})});
  step.values.push_back(position);
  step.firstMoments.push_back(first);
  step.secondMoments.push_back(second);
  step.decays.push_back(argument.decay);
  return {};
}

/// Every argument has a meaning; otherwise there is nothing to give it.
Status checkComplete(const EntryInfo &entry, const StepSignature &step) {
  std::vector<bool> known(entry.arguments.size(), false);
  for (const auto *positions : {&step.values, &step.firstMoments, &step.secondMoments})
    for (size_t position : *positions)
      known[position] = true;
  for (size_t position : {step.step, step.lr, step.tokens, step.targets})
    known[position] = true;
  if (step.seed)
    known[*step.seed] = true;
  for (size_t i = 0; i < known.size(); ++i)
    if (!known[i])
      return badInput(
          fmt::format("entry {}: argument {} of {} is neither a parameter nor step, lr, seed, tokens or targets: a "
                      "token file has nothing to give it",
                      inQuotes(entry.name), inQuotes(entry.arguments[i].name),
                      describeType(entry.arguments[i].type, entry.arguments[i].shape)));
  return {};
}

Status checkTypes(const EntryInfo &entry, const StepSignature &step) {
  auto expect = [&](size_t position, const char *what, bool good) -> Status {
    const ArgumentInfo &argument = entry.arguments[position];
    if (good)
      return {};
    return badInput(fmt::format("entry {}: argument {}: expected {}, but got {}", inQuotes(entry.name),
                                inQuotes(argument.name), what, describeType(argument.type, argument.shape)));
  };
  auto type = [&](size_t position) { return entry.arguments[position].type; };
  auto shape = [&](size_t position) { return entry.arguments[position].shape; };
  if (Status status = expect(step.step, "i64", type(step.step) == DataType::I64 && shape(step.step).empty()); !status)
    return status;
  if (Status status = expect(step.lr, "a float scalar", isFloat(type(step.lr)) && shape(step.lr).empty()); !status)
    return status;
  if (step.seed)
    if (Status status = expect(*step.seed, "i64", type(*step.seed) == DataType::I64 && shape(*step.seed).empty());
        !status)
      return status;
  for (size_t position : {step.tokens, step.targets})
    if (Status status =
            expect(position, "BxT or AxBxT of i32",
                   type(position) == DataType::I32 && (shape(position).size() == 2 || shape(position).size() == 3));
        !status)
      return status;
  return expect(step.targets, "the shape of the tokens", shape(step.targets) == shape(step.tokens));
}

} // namespace

DataArguments findDataArguments(const std::vector<ArgumentInfo> &arguments) {
  DataArguments named, placed;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const ArgumentInfo &argument = arguments[i];
    bool data = argument.type == DataType::I32 && (argument.shape.size() == 2 || argument.shape.size() == 3);
    bool scalar = argument.type == DataType::I64 && argument.shape.empty();
    auto take = [&](const char *name, std::optional<size_t> &place) {
      if (argument.name == name)
        place = i;
    };
    take("tokens", named.tokens);
    take("targets", named.targets);
    take("seed", named.seed);
    if (data && !argument.parameter) {
      if (!placed.tokens)
        placed.tokens = i;
      else if (!placed.targets)
        placed.targets = i;
    }
    if (scalar && !placed.seed && argument.name != "step" && argument.name != "position")
      placed.seed = i;
  }
  if (named.tokens || named.targets)
    return named;
  placed.seed = named.seed ? named.seed : placed.seed;
  return placed;
}

Expected<StepSignature> readStepSignature(const EntryInfo &entry) {
  StepSignature step;
  for (size_t i = 0; i < entry.arguments.size(); ++i)
    if (entry.arguments[i].parameter)
      if (Status status = addParameter(entry, i, step); !status)
        return status.takeError();
  if (step.parameters.empty())
    return badInput(fmt::format("entry {}: expected parameters, but no argument has bpt.init", inQuotes(entry.name)));
  for (auto [name, position] : {std::pair<const char *, size_t *>{"step", &step.step}, {"lr", &step.lr}})
    if (Status status = requireArgument(entry, name, *position); !status)
      return status.takeError();
  DataArguments found = findDataArguments(entry.arguments);
  if (!found.tokens || !found.targets)
    return missing(entry, "an i32 argument", found.tokens ? "targets" : "tokens");
  step.tokens = *found.tokens;
  step.targets = *found.targets;
  step.seed = found.seed;
  for (auto [name, position] : {std::pair<const char *, size_t *>{"loss", &step.loss}, {"grad_norm", &step.gradNorm}})
    if (Status status = requireResult(entry, name, *position); !status)
      return status.takeError();
  if (Status status = checkComplete(entry, step); !status)
    return status.takeError();
  if (Status status = checkTypes(entry, step); !status)
    return status.takeError();
  step.range = entry.arguments[step.tokens].range;
  return step;
}

/// One size of the batch: the graph's where it is static, else the option's, else `fallback`.
static Status resolveSize(const char *flag, int64_t graph, int64_t option, int64_t fallback, int64_t &size) {
  if (graph >= 0 && option > 0 && graph != option)
    return badInput(fmt::format("expected --{}={} as in the graph, but got {}; leave it out, or build the graph for it",
                                flag, graph, option));
  size = graph >= 0 ? graph : option > 0 ? option : fallback;
  if (size <= 0)
    return badInput(fmt::format("--{} is missing: the graph does not say", flag));
  return {};
}

Expected<BatchShape> resolveBatch(const ArgumentInfo &tokens, const TrainOptions &options) {
  if (tokens.shape.size() < 2)
    return badInput(fmt::format("argument {}: expected BxT or AxBxT of i32, but got {}", inQuotes(tokens.name),
                                describeType(tokens.type, tokens.shape)));
  Shape shape = tokens.shape;
  if (shape.size() == 2)
    shape.insert(shape.begin(), 1);
  BatchShape batch;
  // A graph of one micro-step says nothing about accumulation; the compiled step does.
  bool accumulates = tokens.shape.size() == 3;
  if (Status status = resolveSize("accumulate", accumulates ? shape[0] : -1, options.accumulate, 1, batch.accumulate);
      !status)
    return status.takeError();
  if (Status status = resolveSize("batch", shape[1], options.batch, defaultBatch, batch.batch); !status)
    return status.takeError();
  if (Status status = resolveSize("context", shape[2], options.context, 0, batch.context); !status)
    return status.takeError();
  return batch;
}

} // namespace bpt
