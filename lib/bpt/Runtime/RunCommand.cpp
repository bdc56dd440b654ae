// Loads arguments, runs, times and compares; the texts are in RunReport.cpp.
#include "bpt/Runtime/RunCommand.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>

namespace bpt {

namespace {

std::vector<Shape> shapesOf(const std::vector<Tensor> &tensors) {
  std::vector<Shape> shapes;
  for (const Tensor &tensor : tensors)
    shapes.push_back(tensor.shape());
  return shapes;
}

std::vector<NamedTensor> nameResults(const EntryInfo &info, std::vector<Tensor> results) {
  std::vector<NamedTensor> named;
  for (size_t i = 0; i < results.size(); ++i)
    named.push_back({info.results[i].name, std::move(results[i])});
  return named;
}

/// Input file and random sources of a request; `file` keeps the file open.
Expected<ArgumentSources> openSources(const RunRequest &request, std::optional<SafeTensorsFile> &file) {
  ArgumentSources sources;
  if (!request.inputs.empty()) {
    Expected<SafeTensorsFile> opened = SafeTensorsFile::open(request.inputs);
    if (!opened)
      return opened.takeError();
    file = opened.take();
    sources.inputs = &*file;
  }
  sources.shapes = request.shapes;
  sources.seed = request.seed;
  return sources;
}

} // namespace

Expected<std::string> planText(const Manifest &manifest, const RunRequest &request, std::string &warnings) {
  Expected<const EntryInfo *> info = manifest.find(request.entry);
  if (!info)
    return info.takeError();
  std::optional<SafeTensorsFile> file;
  Expected<ArgumentSources> sources = openSources(request, file);
  if (!sources)
    return sources.takeError();
  if ((*info)->dynamicDims() > 0 && request.inputs.empty() && request.shapes.empty() && !request.json)
    return formatPlanFormula(manifest, **info);
  Expected<std::vector<Shape>> shapes = argumentShapes(**info, *sources);
  if (!shapes)
    return shapes.takeError();
  std::vector<int64_t> dims;
  for (size_t i = 0; i < shapes->size(); ++i)
    for (size_t d = 0; d < (*shapes)[i].size(); ++d)
      if ((*info)->arguments[i].shape[d] < 0)
        dims.push_back((*shapes)[i][d]);
  int threads = chooseThreads(request.threads, request.ompNumThreads, warnings);
  Expected<Plan> plan = planEntry(manifest, **info, dims, threads);
  if (!plan)
    return plan.takeError();
  if (Status status = checkMemoryLimit(*plan, (*info)->name, request.memoryLimit); !status)
    return status.takeError();
  return request.json ? planJson(*plan) + "\n" : formatPlan(*plan);
}

namespace {

Status writeTrace(const std::string &path, const Profile &profile) {
  Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.takeError();
  if (Status status = file->write(profile.trace()); !status)
    return status;
  return file->close();
}

Expected<std::string> runText(const Program &program, const RunRequest &request, std::string &warnings) {
  if (request.plan && request.profiles())
    return usageError("expected --plan or --profile, but got both: a plan runs nothing");
  if (request.plan)
    return planText(program.manifest(), request, warnings);
  Expected<EntryRun> run = EntryRun::start(program, request, warnings);
  if (!run)
    return run.takeError();
  std::optional<Profile> profile;
  if (request.profiles()) {
    if (program.manifest().regions.empty())
      return badInput("the program was compiled without --profile, so it cannot say where its time goes");
    profile.emplace(program.manifest().regions);
  }
  const Profile *report = request.profile ? &*profile : nullptr;
  if (profile && request.bench == 0)
    run->profileInto(&*profile);
  if (Status status = run->execute(); !status)
    return status.takeError();
  // Before the benchmark: its runs write over the results.
  if (!request.outputs.empty())
    if (Status status = writeSafeTensors(request.outputs, run->results()); !status)
      return status.takeError();
  if (!request.expected.empty())
    if (Status status = checkExpected(run->results(), request.expected); !status)
      return status.takeError();
  std::string text = request.json ? "" : formatRun(*run);
  if (request.bench > 0) {
    if (profile)
      run->profileInto(&*profile);
    if (Status status = run->bench(request.bench); !status)
      return status.takeError();
  }
  if (!request.trace.empty())
    if (Status status = writeTrace(request.trace, *profile); !status)
      return status.takeError();
  if (request.json)
    return (request.bench > 0 ? benchJson(run->report(), report) : runJson(*run, report)) + "\n";
  if (request.bench > 0)
    text += formatBench(run->report());
  return report ? text + report->table() : text;
}

} // namespace

Expected<EntryRun> EntryRun::start(const Program &program, const RunRequest &request, std::string &warnings) {
  Expected<Entry> entry = program.entry(request.entry);
  if (!entry)
    return entry.takeError();
  std::optional<SafeTensorsFile> file;
  Expected<ArgumentSources> sources = openSources(request, file);
  if (!sources)
    return sources.takeError();
  Expected<std::vector<Tensor>> arguments = collectArguments(entry->info(), *sources);
  if (!arguments)
    return arguments.takeError();

  EntryRun run;
  run.prepared = entry.take();
  run.tensors = arguments.take();
  resetPeakAllocatedBytes();
  PrepareOptions options;
  options.threads = chooseThreads(request.threads, request.ompNumThreads, warnings);
  options.memoryLimit = request.memoryLimit;
  if (Status status = run.prepared.prepare(shapesOf(run.tensors), options); !status)
    return status.takeError();
  RunReport &figures = run.figures;
  figures.entry = run.prepared.info().name;
  figures.target = program.manifest().target;
  figures.threads = options.threads;
  figures.flops = run.prepared.flops();
  figures.plannedPeakBytes = run.prepared.plan().arenaBytes;
  for (const Tensor &tensor : run.tensors)
    figures.argumentBytes += tensor.bytes();
  return run;
}

Status EntryRun::execute() {
  auto begin = std::chrono::steady_clock::now();
  Expected<std::vector<Tensor>> results = prepared.run(tensors);
  if (!results)
    return results.takeError();
  warmth += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  named = nameResults(prepared.info(), results.take());
  figures.measuredPeakBytes = peakAllocatedBytes();
  return {};
}

Status EntryRun::bench(int count) {
  prepared.stayOnDevice(true);
  // Threads that were just made share processors until the system spreads them.
  while (warmth < 0.1)
    if (Status status = execute(); !status)
      return status;
  std::vector<double> seconds;
  for (int i = 0; i < count; ++i) {
    double before = warmth;
    if (Status status = execute(); !status)
      return status;
    seconds.push_back(warmth - before);
  }
  if (seconds.empty())
    return {};
  std::sort(seconds.begin(), seconds.end());
  size_t middle = seconds.size() / 2;
  figures.runs = count;
  figures.seconds = seconds.size() % 2 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
  figures.fastest = seconds.front();
  figures.slowest = seconds.back();
  return {};
}

Expected<std::vector<NamedTensor>> runReference(const Program &reference, const std::string &name,
                                                const std::vector<Tensor> &arguments, int threads) {
  Expected<Entry> entry = reference.entry(name);
  if (!entry)
    return entry.takeError();
  const EntryInfo &info = entry->info();
  if (info.arguments.size() != arguments.size())
    return badInput(fmt::format("the reference of {} has {} arguments, but the program has {}", inQuotes(info.name),
                                info.arguments.size(), arguments.size()));
  std::vector<Tensor> converted;
  for (size_t i = 0; i < arguments.size(); ++i) {
    Expected<Tensor> tensor = arguments[i].converted(info.arguments[i].type);
    if (!tensor)
      return tensor.error().in("argument " + inQuotes(info.arguments[i].name));
    converted.push_back(tensor.take());
  }
  PrepareOptions options;
  options.threads = threads;
  if (Status status = entry->prepare(shapesOf(converted), options); !status)
    return status.takeError();
  Expected<std::vector<Tensor>> results = entry->run(converted);
  if (!results)
    return results.takeError();
  for (Tensor &result : *results) {
    Expected<Tensor> owned = result.copy();
    if (!owned)
      return owned.takeError();
    result = owned.take();
  }
  return nameResults(info, results.take());
}

Expected<std::vector<Comparison>> compareResults(const std::vector<NamedTensor> &results,
                                                 const std::vector<NamedTensor> &reference) {
  if (results.size() != reference.size())
    return badInput(
        fmt::format("expected {} results as in the reference, but got {}", reference.size(), results.size()));
  std::vector<Comparison> comparisons;
  for (size_t i = 0; i < results.size(); ++i) {
    const Tensor &a = results[i].tensor, &b = reference[i].tensor;
    if (a.shape() != b.shape())
      return badInput(fmt::format("result {}: expected {} as in the reference, but got {}", inQuotes(results[i].name),
                                  describeType(b.type(), b.shape()), describeType(a.type(), a.shape())));
    Comparison comparison;
    comparison.name = results[i].name;
    double squares = 0, largest = 0;
    for (int64_t e = 0; e < a.elements(); ++e) {
      double x = a.get(e), y = b.get(e);
      // Equal infinities and a NaN in both are agreement; one of them alone is as wrong as can be.
      bool same = x == y || (std::isnan(x) && std::isnan(y));
      double difference = same ? 0 : std::fabs(x - y);
      if (std::isnan(difference))
        difference = INFINITY;
      comparison.maxAbs = std::max(comparison.maxAbs, difference);
      squares += difference * difference;
      if (std::isfinite(y))
        largest = std::max(largest, std::fabs(y));
    }
    comparison.rms = a.elements() ? std::sqrt(squares / static_cast<double>(a.elements())) : 0;
    comparison.maxRel = comparison.maxAbs == 0 ? 0 : comparison.maxAbs / largest;
    comparisons.push_back(comparison);
  }
  return comparisons;
}

int runCommand(const std::string &tool, const Program &program, const RunRequest &request) {
  std::string warnings;
  Expected<std::string> text = runText(program, request, warnings);
  if (!warnings.empty())
    std::fputs(fmt::format("{}: warning: {}\n", tool, warnings).c_str(), stderr);
  if (!text)
    return reportError(tool, text.error());
  if (std::fputs(text->c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    return reportError(tool, fileError("<standard output>", "write", errno));
  return 0;
}

} // namespace bpt
