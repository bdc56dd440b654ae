// Programs and entries: checks, the plan, the arena, and the call.
#include "bpt/Runtime/Program.h"
#include "DeviceMirror.h"
#include "FloatControl.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Profile.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <fmt/format.h>

namespace bpt {

struct Program::Impl {
  Manifest manifest;
  std::vector<bpt_entry> code; // of manifest.entries
  std::shared_ptr<void> keepAlive;
  std::shared_ptr<Device> device;
};

struct Entry::Impl {
  std::shared_ptr<const Program::Impl> program;
  const EntryInfo *info = nullptr;
  bpt_entry code = nullptr;

  // Set by prepare().
  bool prepared = false;
  std::vector<Shape> shapes;
  std::vector<int64_t> dims;
  std::vector<Shape> results;
  int64_t flops = 0;
  Plan plan;
  std::shared_ptr<Arena> arena;
  Arena host;                           // beside the arena
  std::unique_ptr<DeviceMirror> mirror; // instead of an arena, on a device with memory of its own
  std::unique_ptr<ThreadPool> threads;
  Profile *profile = nullptr;
  bool staysOnDevice = false, keepsUpdates = false;
  std::function<void()> whileRunning;
  std::vector<Tensor> updated; // what the device has newer values of

  Status takeShapes(const std::vector<Shape> &given);
  Status evaluateResults();
  Status takeArena(const PrepareOptions &options);
  Status checkArguments(const std::vector<Tensor> &arguments) const;
  std::vector<Tensor> viewResults(const std::vector<Tensor> &arguments) const;
  Expected<std::vector<Tensor>> runOnDevice(const std::vector<Tensor> &arguments);
  std::vector<Device::Memory> viewMemory(const std::vector<Tensor> &arguments) const;
};

Expected<Program> Program::create(Manifest manifest, const SymbolResolver &resolve, std::shared_ptr<void> keepAlive,
                                  std::shared_ptr<Device> device) {
  if (Status status = checkCpuFeatures(manifest.cpuFeatures); !status)
    return status.takeError();
  auto impl = std::make_shared<Impl>();
  for (const EntryInfo &entry : manifest.entries) {
    void *address = resolve(entry.symbol);
    if (!address)
      return badInput(
          fmt::format("the code of entry {} is missing: no symbol {}", inQuotes(entry.name), inQuotes(entry.symbol)));
    impl->code.push_back(reinterpret_cast<bpt_entry>(address));
  }
  impl->manifest = std::move(manifest);
  impl->keepAlive = std::move(keepAlive);
  impl->device = std::move(device);
  Program program;
  program.impl = std::move(impl);
  return program;
}

const Manifest &Program::manifest() const { return impl->manifest; }

Expected<Entry> Program::entry(const std::string &name) const {
  Expected<const EntryInfo *> info = impl->manifest.find(name);
  if (!info)
    return info.takeError();
  Entry entry;
  entry.impl = std::make_shared<Entry::Impl>();
  entry.impl->program = impl;
  entry.impl->info = *info;
  entry.impl->code = impl->code[static_cast<size_t>(*info - impl->manifest.entries.data())];
  return entry;
}

Status Entry::Impl::takeShapes(const std::vector<Shape> &given) {
  if (given.size() != info->arguments.size())
    return badInput(fmt::format("expected {} arguments, but got {}", info->arguments.size(), given.size()));
  shapes = given;
  dims.clear();
  for (size_t i = 0; i < given.size(); ++i) {
    const ArgumentInfo &argument = info->arguments[i];
    if (Status status = checkArgument(argument, argument.type, given[i]); !status)
      return status;
    if (Expected<int64_t> count = countElements(given[i], argument.type); !count)
      return count.error().in("argument " + inQuotes(argument.name));
    for (size_t d = 0; d < given[i].size(); ++d)
      if (argument.shape[d] < 0)
        dims.push_back(given[i][d]);
  }
  return {};
}

/// Shapes of the results; those in slots must lie within them, whatever the manifest says.
Status Entry::Impl::evaluateResults() {
  results.clear();
  FormulaInputs inputs = {dims, static_cast<int>(plan.threads)};
  for (const ResultInfo &result : info->results) {
    auto wrong = [&](const Error &error) { return error.in("result " + inQuotes(result.name)); };
    Shape shape;
    for (const Formula &formula : result.shape) {
      Expected<int64_t> size = formula.evaluate(inputs);
      if (!size)
        return wrong(size.error());
      shape.push_back(*size);
    }
    Expected<int64_t> count = countElements(shape, result.type);
    if (!count)
      return wrong(count.error());
    if (result.slot) {
      int64_t bytes = *count * bytesPerElement(result.type);
      const PlannedSlot &slot = plan.slots[static_cast<size_t>(*result.slot)];
      if (bytes > slot.bytes)
        return wrong(badInput(
            fmt::format("{} does not fit into its slot of {} bytes", describeType(result.type, shape), slot.bytes)));
    } else if (shape != shapes[static_cast<size_t>(*result.argument)]) {
      return wrong(
          badInput(fmt::format("is {}, but the argument updated in place is {}", describeType(result.type, shape),
                               describeType(result.type, shapes[static_cast<size_t>(*result.argument)]))));
    }
    results.push_back(std::move(shape));
  }
  Expected<int64_t> operations = info->flops.evaluate(inputs);
  if (!operations)
    return operations.error().in("flops");
  flops = *operations;
  return {};
}

Status Entry::Impl::takeArena(const PrepareOptions &options) {
  if (Status status = checkMemoryLimit(plan, info->name, options.memoryLimit); !status)
    return status;
  if (Device *device = program->device.get(); device && device->hasOwnMemory()) {
    mirror = std::make_unique<DeviceMirror>(*device);
    return mirror->allocate(plan, info->arguments, shapes, info->name);
  }
  if (host.bytes() < plan.hostBytes) {
    host = Arena();
    Expected<Arena> larger = Arena::allocate(plan.hostBytes, "the host memory of " + inQuotes(info->name));
    if (!larger)
      return larger.takeError();
    host = larger.take();
  }
  if (options.arena)
    arena = options.arena;
  else if (!arena)
    arena = std::make_shared<Arena>();
  if (!arena->data() || arena->bytes() < plan.arenaBytes) {
    *arena = Arena(); // never hold both
    Expected<Arena> larger = Arena::allocate(plan.arenaBytes, "the arena of " + inQuotes(info->name));
    if (!larger)
      return larger.takeError();
    *arena = larger.take();
  }
  return {};
}

const EntryInfo &Entry::info() const { return *impl->info; }
const Plan &Entry::plan() const { return impl->plan; }
const std::vector<Shape> &Entry::resultShapes() const { return impl->results; }
void Entry::keepUpdates(bool keep) { impl->keepsUpdates = keep; }
void Entry::whileRunning(std::function<void()> work) { impl->whileRunning = std::move(work); }
void Entry::stayOnDevice(bool stay) { impl->staysOnDevice = stay; }
void Entry::profileInto(Profile *profile) { impl->profile = profile; }
int64_t Entry::flops() const { return impl->flops; }

Status Entry::prepare(const std::vector<Shape> &shapes, const PrepareOptions &options) {
  impl->prepared = false;
  if (Status status = impl->takeShapes(shapes); !status)
    return status;
  int count = std::clamp(options.threads, 1, maxThreads);
  // Scratch is for those who run items: threads, or warps of a device.
  int workers = impl->program->device ? static_cast<int>(impl->program->device->workers()) : count;
  Expected<Plan> plan = planEntry(impl->program->manifest, *impl->info, impl->dims, workers);
  if (!plan)
    return plan.takeError();
  impl->plan = plan.take();
  if (Status status = impl->evaluateResults(); !status)
    return status.error().in(fmt::format("entry {}", inQuotes(impl->info->name)));
  if (Status status = impl->takeArena(options); !status)
    return status;
  if (!impl->threads || impl->threads->threads() != count)
    impl->threads = std::make_unique<ThreadPool>(count);
  impl->prepared = true;
  return {};
}

Status Entry::Impl::checkArguments(const std::vector<Tensor> &arguments) const {
  if (!prepared)
    return badInput(fmt::format("entry {} was not prepared", inQuotes(info->name)));
  if (arguments.size() != shapes.size())
    return badInput(fmt::format("expected {} arguments, but got {}", shapes.size(), arguments.size()));
  for (size_t i = 0; i < arguments.size(); ++i) {
    const ArgumentInfo &argument = info->arguments[i];
    if (arguments[i].type() != argument.type || arguments[i].shape() != shapes[i])
      return badInput(fmt::format("argument {}: expected {} as prepared, but got {}", inQuotes(argument.name),
                                  describeType(argument.type, shapes[i]),
                                  describeType(arguments[i].type(), arguments[i].shape())));
    if (!arguments[i].data() && arguments[i].elements() > 0)
      return badInput(fmt::format("argument {} has no data", inQuotes(argument.name)));
    if (Status status = checkIntegerRange(argument, arguments[i]); !status)
      return status;
  }
  return {};
}

std::vector<Tensor> Entry::Impl::viewResults(const std::vector<Tensor> &arguments) const {
  std::vector<Tensor> views;
  for (size_t i = 0; i < results.size(); ++i) {
    const ResultInfo &result = info->results[i];
    if (result.argument)
      views.push_back(arguments[static_cast<size_t>(*result.argument)]);
    else
      views.push_back(
          Tensor::view(result.type, results[i], arena->data() + plan.offsets[static_cast<size_t>(*result.slot)]));
  }
  return views;
}

std::vector<Device::Memory> Entry::Impl::viewMemory(const std::vector<Tensor> &arguments) const {
  std::vector<Device::Memory> views;
  for (size_t i = 0; i < arguments.size(); ++i)
    views.push_back({arguments[i].data(), arguments[i].elements() * bytesPerElement(arguments[i].type()),
                     "argument " + inQuotes(info->arguments[i].name), true});
  // Scratch has room for whole vectors: what lies behind the data is read, and not used.
  int64_t scratch = plan.scratchOffset, end = scratch + plan.scratchStride * plan.threads;
  views.push_back({arena->data(), scratch, "the arena", false});
  views.push_back({arena->data() + scratch, end - scratch, "scratch", true});
  views.push_back({arena->data() + end, arena->bytes() - end, "the arena's end", false});
  return views;
}

/// Copies in, runs, copies out.
Expected<std::vector<Tensor>> Entry::Impl::runOnDevice(const std::vector<Tensor> &arguments) {
  Device &device = *program->device;
  bpt_context context;
  context.threads = threads.get();
  context.scratch = mirror->arena() + plan.scratchOffset;
  context.scratchStride = plan.scratchStride;
  context.device = &device;
  if (Status status = device.beginRun({}); !status)
    return status.takeError();
  std::vector<bool> isUpdated(arguments.size(), false);
  for (const ResultInfo &result : info->results)
    if (result.argument)
      isUpdated[static_cast<size_t>(*result.argument)] = true;
  for (size_t i = 0; i < arguments.size() && !staysOnDevice; ++i)
    if (!keepsUpdates || !isUpdated[i] || updated.empty())
      if (Status status = mirror->copyIn(i, arguments[i]); !status)
        return status.takeError();
  std::vector<int64_t> offsets = plan.offsetsFrom(mirror->arena(), mirror->host());
  int32_t result = code(&context, mirror->arguments().data(), dims.data(), mirror->arena(), offsets.data());
  if (Status status = device.start(); !status && !context.failure)
    context.failure = status.takeError();
  if (whileRunning && !context.failure)
    whileRunning();
  std::vector<Tensor> values;
  for (size_t i = 0; i < results.size() && !context.failure; ++i) {
    const ResultInfo &info = this->info->results[i];
    Expected<Tensor> value =
        info.argument ? arguments[static_cast<size_t>(*info.argument)] : Tensor::allocate(info.type, results[i]);
    if (!value)
      return value.takeError();
    const void *from = info.argument ? mirror->arguments()[static_cast<size_t>(*info.argument)]
                                     : mirror->arena() + plan.offsets[static_cast<size_t>(*info.slot)];
    if (!staysOnDevice && !(keepsUpdates && info.argument))
      if (Status status = device.copyOut(value->data(), from, value->bytes()); !status)
        return status.takeError();
    values.push_back(value.take());
  }
  if (Status ended = device.endRun(); !ended && !context.failure)
    context.failure = ended.takeError();
  if (context.failure)
    return context.failure->in(fmt::format("entry {}", inQuotes(info->name)));
  if (result != 0)
    return badInput(fmt::format("entry {} returned status {}", inQuotes(info->name), result));
  if (keepsUpdates)
    updated = arguments;
  return values;
}

Status Entry::fetchUpdates() {
  if (impl->updated.empty())
    return {};
  Device &device = *impl->program->device;
  for (const ResultInfo &result : impl->info->results)
    if (result.argument) {
      size_t i = static_cast<size_t>(*result.argument);
      if (Status status =
              device.copyOut(impl->updated[i].data(), impl->mirror->arguments()[i], impl->updated[i].bytes());
          !status)
        return status;
    }
  return device.endRun();
}

Expected<std::vector<Tensor>> Entry::run(const std::vector<Tensor> &arguments) {
  if (Status status = impl->checkArguments(arguments); !status)
    return status.takeError();
  if (impl->mirror)
    return impl->runOnDevice(arguments);
  // An arena that is shared may have been replaced by another entry's larger one; a smaller one it never is.
  bpt_context context;
  context.threads = impl->threads.get();
  context.scratch = impl->arena->data() + impl->plan.scratchOffset;
  context.scratchStride = impl->plan.scratchStride;
  context.sharedScratch = impl->arena->data() + impl->plan.sharedScratchOffset();
  context.profile = impl->profile;
  std::vector<void *> pointers;
  for (const Tensor &argument : arguments)
    pointers.push_back(argument.data());
  Device *device = context.device = impl->program->device.get();
  if (device)
    if (Status status = device->beginRun(impl->viewMemory(arguments)); !status)
      return status.takeError();
  if (impl->profile)
    impl->profile->beginRun();
  std::vector<int64_t> offsets = impl->plan.offsetsFrom(impl->arena->data(), impl->host.data());
  int32_t status = [&] {
    FloatControlScope scope(getFlushingControl());
    return impl->code(&context, pointers.data(), impl->dims.data(), impl->arena->data(), offsets.data());
  }();
  if (impl->profile)
    impl->profile->endRun();
  if (device)
    if (Status ended = device->endRun(); !ended && !context.failure)
      context.failure = ended.takeError();
  if (context.failure)
    return context.failure->in(fmt::format("entry {}", inQuotes(impl->info->name)));
  if (context.scratchRefused)
    return outOfMemory(fmt::format("entry {}: scratch of {} for a nested loop was refused", inQuotes(impl->info->name),
                                   formatBytes(context.scratchStride)));
  if (status != 0)
    return badInput(fmt::format("entry {} returned status {}", inQuotes(impl->info->name), status));
  return impl->viewResults(arguments);
}

} // namespace bpt
