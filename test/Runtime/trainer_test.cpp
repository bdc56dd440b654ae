// The trainer on a fake program: what a run leaves behind, that resuming is exact, and that nothing that goes wrong
// harms what is there.
#include "FakeTraining.h"
#include "TestFiles.h"
#include "bpt/Runtime/Arena.h"
#include "bpt/Runtime/Checkpoint.h"
#include "bpt/Runtime/RunDirectory.h"
#include "bpt/Runtime/SafeTensors.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Trainer.h"
#include <atomic>
#include <csignal>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/resource.h>
#include <thread>

using namespace bpt;
namespace fs = std::filesystem;

namespace {

class TrainerTest : public ::testing::Test {
protected:
  void SetUp() override {
    fake = FakeTraining();
    installSignalHandlers();
    clearInterrupt();
    std::string tokens;
    for (int i = 0; i < 5000; ++i)
      tokens += static_cast<char>((i * i / 7 + i) % 16);
    writeBytes(folder.file("tokens.u8"), tokens);
    options.tokens = folder.file("tokens.u8");
    options.out = folder.file("out");
    options.model = "gpt";
    options.batch = 2;
    options.context = 8;
    options.steps = 40;
    options.warmup = 5;
    options.lr = 0.05;
    options.seed = 3;
    options.checkpointEvery = 5;
  }
  void TearDown() override {
    // A compilation that a signal left behind still reads `model`.
    while (compilations.use_count() > 1)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (output)
      std::fclose(output);
    clearInterrupt();
  }

  Status run(const TrainOptions &what) {
    ProgramSource source;
    if (withSignature)
      source.signature = [this]() -> Expected<std::vector<ArgumentInfo>> { return fakeSignature(model); };
    source.compile = [this, running = compilations] { return fakeCompiledTraining(model); };
    return run(what, source);
  }
  Status run(const TrainOptions &what, const ProgramSource &source) {
    if (output)
      std::fclose(output);
    output = std::fopen(folder.file("printed").c_str(), "w");
    TrainEnvironment environment;
    environment.threads = threads;
    environment.output = output;
    return train(what, source, environment);
  }
  Status resume() {
    TrainOptions again = options;
    again.resume = true;
    again.stopAt = 0;
    return run(again);
  }

  std::string printed() const { return readBytes(folder.file("printed")); }
  std::string checkpoint(int64_t step, const std::string &out = "out") const {
    return folder.file(out + "/checkpoints/step-" + std::to_string(step));
  }
  std::vector<int64_t> steps() const { return listCheckpoints(folder.file("out/checkpoints")).take(); }
  std::map<std::string, std::string> contents(const std::string &path) const {
    std::map<std::string, std::string> files;
    if (fs::exists(path))
      for (const auto &entry : fs::recursive_directory_iterator(path))
        if (entry.is_regular_file())
          files[fs::relative(entry.path(), path).string()] = readBytes(entry.path().string());
    return files;
  }
  /// Losses by step, each step once.
  std::map<int64_t, double> losses() const {
    std::map<int64_t, double> result;
    std::ifstream file(folder.file("out/metrics.jsonl"));
    for (std::string line; std::getline(file, line);) {
      auto row = nlohmann::json::parse(line);
      if (row.contains("loss"))
        EXPECT_TRUE(result.emplace(row["step"], row["loss"]).second) << line;
    }
    return result;
  }
  /// The last checkpoint of an undisturbed run.
  std::map<std::string, std::string> undisturbed() {
    TrainOptions whole = options;
    whole.out = folder.file("whole");
    whole.resume = false;
    EXPECT_TRUE(run(whole).ok());
    return contents(checkpoint(options.steps, "whole"));
  }

  TemporaryFolder folder;
  TrainOptions options;
  FakeModel model;
  bool withSignature = true;
  int threads = 1;
  std::shared_ptr<int> compilations = std::make_shared<int>(); ///< held by every compilation
  std::FILE *output = nullptr;
};

} // namespace

TEST_F(TrainerTest, ARunLeavesConfigurationMetricsPlotsAndTheNewestCheckpoints) {
  ASSERT_OK(run(options));
  EXPECT_EQ(steps(), (std::vector<int64_t>{30, 35, 40}));
  std::map<int64_t, double> loss = losses();
  EXPECT_EQ(loss.size(), 40u);
  EXPECT_NEAR(loss[1], std::log(16.0), 0.05);
  EXPECT_LT(loss[40], 0.9 * loss[1]);
  for (const char *file : {"config.toml", "loss.svg", "memory.svg"})
    EXPECT_TRUE(fs::exists(folder.file(std::string("out/") + file))) << file;
  std::set<std::string> files;
  for (const auto &file : contents(checkpoint(40)))
    files.insert(file.first);
  EXPECT_EQ(files, (std::set<std::string>{"model.safetensors", "optimizer.safetensors", "state.json"}));
  EXPECT_NE(printed().find("planned peak"), std::string::npos) << printed();
  EXPECT_NE(printed().find("step 40/40"), std::string::npos) << printed();
}

TEST_F(TrainerTest, MetricsRowsHaveTheFieldsOfTheContract) {
  options.steps = 2;
  ASSERT_OK(run(options));
  std::ifstream file(folder.file("out/metrics.jsonl"));
  std::string line;
  std::getline(file, line);
  std::getline(file, line);
  auto row = nlohmann::json::parse(line);
  std::set<std::string> keys;
  for (const auto &item : row.items())
    keys.insert(item.key());
  EXPECT_EQ(keys, (std::set<std::string>{"step", "loss", "grad_norm", "lr", "tokens", "seconds", "tokens_per_second"}));
  EXPECT_EQ(row["step"], 2);
  EXPECT_EQ(row["tokens"], 2 * 2 * 8);
  EXPECT_NEAR(row["lr"].get<double>(), 0.05 * 2 / 5, 1e-12);
}

TEST_F(TrainerTest, StoppedAndResumedGivesTheSameBytes) {
  auto want = undisturbed();
  options.stopAt = 13;
  ASSERT_OK(run(options));
  EXPECT_EQ(steps().back(), 13);
  ASSERT_OK(resume());
  EXPECT_EQ(contents(checkpoint(40)), want);
  EXPECT_EQ(losses().size(), 40u);
}

TEST_F(TrainerTest, TheNumberOfThreadsDoesNotChangeTheBytes) {
  auto want = undisturbed();
  threads = 2;
  ASSERT_OK(run(options));
  EXPECT_EQ(contents(checkpoint(40)), want);
}

TEST_F(TrainerTest, StateSaysNothingOfTimesPathsAndThreads) {
  ASSERT_OK(run(options));
  auto state = nlohmann::json::parse(readBytes(checkpoint(40) + "/state.json"));
  EXPECT_EQ(state["step"], 40);
  EXPECT_EQ(state["seed"], 3);
  EXPECT_EQ(state["configuration"]["lr"], 0.05);
  EXPECT_EQ(state["configuration"]["batch"], 2);
  for (const char *key : {"threads", "out", "tokens", "stop_at", "checkpoint_every", "keep", "memory"})
    EXPECT_FALSE(state["configuration"].contains(key)) << key;
}

TEST_F(TrainerTest, ASignalEndsWithTheCheckpointOfTheStep) {
  auto want = undisturbed();
  fake.atStep = [](int64_t step) {
    if (step == 17)
      std::raise(SIGTERM);
  };
  EXPECT_ERROR(run(options), ExitCode::Interrupted, "step-17");
  EXPECT_EQ(steps().back(), 17);
  fake.atStep = nullptr;
  clearInterrupt();
  ASSERT_OK(resume());
  EXPECT_EQ(contents(checkpoint(40)), want);
}

TEST_F(TrainerTest, ASignalWhileCompilingLeavesStepZeroAtOnce) {
  auto want = undisturbed();
  std::atomic<bool> release{false}, done{false};
  ProgramSource source;
  source.signature = [this]() -> Expected<std::vector<ArgumentInfo>> { return fakeSignature(model); };
  source.compile = [&]() -> Expected<CompiledTraining> {
    std::raise(SIGINT);
    while (!release)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    done = true;
    return badInput("nobody waits for this any more");
  };
  EXPECT_ERROR(run(options, source), ExitCode::Interrupted, "step-0");
  EXPECT_FALSE(done);
  EXPECT_EQ(steps(), (std::vector<int64_t>{0}));
  release = true;
  while (!done)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  clearInterrupt();
  ASSERT_OK(resume());
  EXPECT_EQ(contents(checkpoint(40)), want);
}

TEST_F(TrainerTest, ASignalWhileCompilingWaitsWhereNothingIsKnownYet) {
  withSignature = false;
  ProgramSource source;
  source.compile = [&] {
    std::raise(SIGINT);
    return fakeCompiledTraining(model);
  };
  EXPECT_ERROR(run(options, source), ExitCode::Interrupted, "step-0");
  EXPECT_EQ(steps(), (std::vector<int64_t>{0}));
}

TEST_F(TrainerTest, ASignalInAResumedRunKeepsItsCheckpoint) {
  options.stopAt = 10;
  ASSERT_OK(run(options));
  auto before = contents(checkpoint(10));
  std::raise(SIGTERM);
  EXPECT_ERROR(resume(), ExitCode::Interrupted, "step-10");
  EXPECT_EQ(contents(checkpoint(10)), before);
}

TEST_F(TrainerTest, AFolderWithACheckpointIsRefusedWithoutResume) {
  options.steps = 5;
  ASSERT_OK(run(options));
  EXPECT_ERROR(run(options), ExitCode::BadInput, "--resume");
}

TEST_F(TrainerTest, AFolderWithoutACheckpointIsStartedOver) {
  fs::create_directories(folder.file("out/checkpoints/step-7"));
  writeBytes(folder.file("out/metrics.jsonl"), "{\"step\":1,\"loss\":9}\n{\"st");
  ASSERT_OK(run(options));
  EXPECT_EQ(steps(), (std::vector<int64_t>{30, 35, 40}));
  EXPECT_EQ(losses().size(), 40u);
}

TEST_F(TrainerTest, ResumingWithoutACheckpointStartsAtStepZero) {
  auto want = undisturbed();
  ASSERT_OK(resume());
  EXPECT_EQ(contents(checkpoint(40)), want);
}

TEST_F(TrainerTest, ResumingAFinishedRunChangesNothing) {
  ASSERT_OK(run(options));
  auto before = contents(folder.file("out"));
  auto written = fs::last_write_time(folder.file("out/config.toml"));
  fake.steps = 0;
  ASSERT_OK(resume());
  EXPECT_EQ(contents(folder.file("out")), before);
  EXPECT_EQ(fs::last_write_time(folder.file("out/config.toml")), written);
  EXPECT_EQ(fake.steps, 0);
}

TEST_F(TrainerTest, ResumingCutsLaterRowsAndATornLine) {
  options.stopAt = 10;
  ASSERT_OK(run(options));
  std::ofstream(folder.file("out/metrics.jsonl"), std::ios::app) << "{\"step\":11,\"loss\":1.0}\n{\"step\":12,\"lo";
  ASSERT_OK(resume());
  EXPECT_EQ(losses().size(), 40u);
}

TEST_F(TrainerTest, ADamagedCheckpointIsSkippedAndReplaced) {
  auto want = undisturbed();
  for (const char *file : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    fs::remove_all(folder.file("out"));
    options.stopAt = 20;
    ASSERT_OK(run(options));
    std::string path = checkpoint(20) + "/" + file, bytes = readBytes(path);
    bytes[bytes.size() / 2] ^= 4;
    writeBytes(path, bytes);
    ASSERT_OK(resume());
    EXPECT_NE(printed().find("step-20"), std::string::npos) << printed();
    EXPECT_NE(printed().find("skipped"), std::string::npos) << printed();
    EXPECT_EQ(contents(checkpoint(40)), want) << file;
    EXPECT_EQ(losses().size(), 40u);
  }
}

TEST_F(TrainerTest, ACheckpointOfAnotherModelIsRefusedWithBothSides) {
  options.stopAt = 10;
  ASSERT_OK(run(options));
  model.vocabulary = 20;
  EXPECT_ERROR(resume(), ExitCode::BadInput, "20x20xf32 in this model and 16x16xf32 in the checkpoint");
}

TEST_F(TrainerTest, AChangedConfigurationIsMentioned) {
  options.stopAt = 10;
  ASSERT_OK(run(options));
  options.lr = 0.01;
  ASSERT_OK(resume());
  EXPECT_NE(printed().find("lr is 0.01 from here on; up to step 10 it was 0.05"), std::string::npos) << printed();
}

TEST_F(TrainerTest, ASecondTrainerIsRefused) {
  RunDirectory other = RunDirectory::open(options.out).take();
  other.announce();
  EXPECT_ERROR(run(options), ExitCode::BadInput, "process " + std::to_string(::getpid()));
}

TEST_F(TrainerTest, ALossThatIsNoNumberEndsTheRunBeforeItReachesACheckpoint) {
  fake.nanAt = 18;
  EXPECT_ERROR(run(options), ExitCode::NonFinite, "the loss is nan at step 18");
  EXPECT_EQ(steps(), (std::vector<int64_t>{5, 10, 15}));
  EXPECT_EQ(losses().size(), 17u);
}

TEST_F(TrainerTest, ANormThatIsNoNumberEndsTheRun) {
  fake.infiniteNormAt = 3;
  EXPECT_ERROR(run(options), ExitCode::NonFinite, "norm of the gradients is inf at step 3");
  EXPECT_EQ(steps(), (std::vector<int64_t>{}));
}

TEST_F(TrainerTest, FilesThatMayNotGrowAreAnErrorAndHarmNothing) {
  auto want = undisturbed();
  options.stopAt = 20;
  options.keep = 1;
  ASSERT_OK(run(options));
  auto before = contents(checkpoint(20));
  for (rlim_t limit : {0, 100, 300, 900, 1500, 2000, 2400, 3500, 5000}) {
    rlimit unlimited = {};
    getrlimit(RLIMIT_FSIZE, &unlimited);
    rlimit small = {limit, unlimited.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
    Status status = resume();
    setrlimit(RLIMIT_FSIZE, &unlimited);
    ASSERT_FALSE(status.ok()) << limit;
    EXPECT_EQ(status.error().code, ExitCode::Io) << limit << ": " << status.error().message;
    // Whichever file was refused, one checkpoint is complete, and no half of another is to be seen.
    NewestCheckpoint newest = findNewestCheckpoint(folder.file("out/checkpoints"), true).take();
    ASSERT_TRUE(newest.checkpoint) << limit;
    EXPECT_TRUE(newest.skipped.empty()) << limit;
    if (newest.checkpoint->state.step == 20)
      EXPECT_EQ(contents(checkpoint(20)), before);
  }
  ASSERT_OK(resume());
  EXPECT_EQ(contents(checkpoint(40)), want);
  EXPECT_EQ(losses().size(), 40u);
}

TEST_F(TrainerTest, ValidationRowsAreWrittenAndMadeUpFor) {
  options.validTokens = options.tokens;
  options.validEvery = 10;
  options.validBatches = 3;
  auto validations = [&] {
    std::vector<std::string> rows;
    std::ifstream file(folder.file("out/metrics.jsonl"));
    for (std::string line; std::getline(file, line);)
      if (line.find("valid_loss") != std::string::npos)
        rows.push_back(line);
    return rows;
  };
  ASSERT_OK(run(options));
  auto want = validations();
  EXPECT_EQ(want.size(), 4u);
  fs::remove_all(folder.file("out"));
  int calls = 0;
  fake.atLoss = [&] {
    if (++calls == 4)
      std::raise(SIGTERM); // in the first batch of the second validation, at step 20
  };
  EXPECT_ERROR(run(options), ExitCode::Interrupted, "step-20");
  EXPECT_EQ(validations().size(), 1u);
  fake.atLoss = nullptr;
  clearInterrupt();
  ASSERT_OK(resume());
  EXPECT_EQ(validations(), want);
}

TEST_F(TrainerTest, InferenceInBF16SharesTheArena) {
  model.halfInference = true;
  options.validTokens = options.tokens;
  options.sampleEvery = 20;
  options.sampleTokens = 12;
  ASSERT_OK(run(options));
  EXPECT_NE(printed().find("validation loss"), std::string::npos);
  EXPECT_NE(printed().find("step 20: sample\n0,"), std::string::npos) << printed();
}

TEST_F(TrainerTest, AccumulatedMicroStepsAreOneBatch) {
  auto want = undisturbed();
  model.accumulates = true;
  options.accumulate = 2;
  options.batch = 1;
  ASSERT_OK(run(options));
  EXPECT_EQ(contents(checkpoint(40))["model.safetensors"], want["model.safetensors"]);
}

TEST_F(TrainerTest, DropoutSeedsAreAFunctionOfTheStep) {
  model.seeded = true;
  ASSERT_OK(run(options));
  std::vector<int64_t> whole = fake.seeds;
  EXPECT_EQ(std::set<int64_t>(whole.begin(), whole.end()).size(), 40u);
  fs::remove_all(folder.file("out"));
  fake.seeds.clear();
  options.stopAt = 13;
  ASSERT_OK(run(options));
  ASSERT_OK(resume());
  EXPECT_EQ(fake.seeds, whole);
}

TEST_F(TrainerTest, ADryRunAllocatesAndWritesNothing) {
  options.dryRun = true;
  resetPeakAllocatedBytes();
  int64_t held = allocatedBytes();
  ASSERT_OK(run(options));
  EXPECT_EQ(peakAllocatedBytes(), held);
  EXPECT_FALSE(fs::exists(options.out));
  EXPECT_NE(printed().find("planned peak"), std::string::npos);
}

TEST_F(TrainerTest, ADryRunNeedsNoCodeAndSearchesTheLargestBatch) {
  ProgramSource source;
  source.compile = []() -> Expected<CompiledTraining> { return badInput("no code is needed"); };
  std::vector<int64_t> asked;
  source.plan = [&](const TrainOptions &given, PackEffort effort) -> Expected<PlannedTraining> {
    asked.push_back(given.batch);
    PlannedTraining planned;
    planned.manifest = fakeTrainingManifest(model);
    Expected<TrainPlan> plan = planTraining(planned.manifest, given, 1, effort);
    if (!plan)
      return plan.takeError();
    planned.plan = plan.take();
    planned.plan.workBytes = given.batch * 1000; // as if each sequence took as much
    planned.policies = {{"all", 5000, 0}, {"input", planned.plan.plannedBytes(), 0, true}};
    return planned;
  };
  options.dryRun = options.maxBatch = options.json = true;
  options.context = 4;
  TrainPlan head = planTraining(fakeTrainingManifest(model), options, 1, PackEffort::Bound).take();
  options.memory = head.headBytes + 100000;
  ASSERT_OK(run(options, source));
  std::istringstream lines(printed());
  std::string first, last;
  std::getline(lines, first);
  for (std::string line; std::getline(lines, line);)
    last = line;
  auto table = nlohmann::json::parse(first), largest = nlohmann::json::parse(last);
  EXPECT_EQ(table["policies"][1]["name"], "input");
  EXPECT_TRUE(table["policies"][1]["chosen"]);
  int64_t found = largest["max_batch"];
  EXPECT_GE(found, 94); // to one part in 32, and the batch itself takes some bytes
  EXPECT_LE(found, 100);
  EXPECT_FALSE(fs::exists(options.out));
  EXPECT_LT(asked.size(), 30u);
}

TEST_F(TrainerTest, AnErrorOverTheBudgetSaysWhatWouldFit) {
  ProgramSource source;
  source.plan = [&](const TrainOptions &given, PackEffort effort) -> Expected<PlannedTraining> {
    PlannedTraining planned;
    planned.manifest = fakeTrainingManifest(model);
    Expected<TrainPlan> plan = planTraining(planned.manifest, given, 1, effort);
    if (!plan) // the program does not accumulate
      return plan.takeError();
    planned.plan = plan.take();
    planned.plan.workBytes = given.batch * 1000;
    return planned;
  };
  options.dryRun = true;
  options.batch = 16;
  options.context = 4;
  options.memory = planTraining(fakeTrainingManifest(model), options, 1, PackEffort::Bound).take().headBytes + 5000;
  EXPECT_ERROR(run(options, source), ExitCode::Memory, "what would fit: --batch=4");
}

TEST_F(TrainerTest, WhatIsPlannedIsWhatIsAllocated) {
  options.json = true;
  resetPeakAllocatedBytes();
  ASSERT_OK(run(options));
  std::istringstream lines(printed());
  std::string first, last;
  std::getline(lines, first);
  for (std::string line; std::getline(lines, line);)
    last = line;
  auto start = nlohmann::json::parse(first), end = nlohmann::json::parse(last);
  EXPECT_EQ(start["event"], "start");
  EXPECT_EQ(end["event"], "end");
  EXPECT_EQ(start["parameters"], 16 * 16 + 16);
  EXPECT_EQ(start["planned_peak_bytes"], end["measured_peak_bytes"]);
}

TEST_F(TrainerTest, ARunOverTheBudgetIsRefusedWithNumbers) {
  options.memory = 1000;
  EXPECT_ERROR(run(options), ExitCode::Memory, "--memory=1000");
  EXPECT_TRUE(steps().empty());
}

TEST_F(TrainerTest, ErrorsOfTokensComeBeforeCompiling) {
  bool compiled = false;
  ProgramSource source;
  source.signature = [this]() -> Expected<std::vector<ArgumentInfo>> { return fakeSignature(model); };
  source.compile = [&] {
    compiled = true;
    return fakeCompiledTraining(model);
  };
  writeBytes(options.tokens, std::string(16, '\1'));
  EXPECT_ERROR(run(options, source), ExitCode::BadInput, "expected more than 16 tokens");
  writeBytes(options.tokens, std::string(50, '\1') + "\x10" + std::string(50, '\1'));
  EXPECT_ERROR(run(options, source), ExitCode::BadInput, "got 16 at position 50");
  EXPECT_FALSE(compiled);
}

TEST_F(TrainerTest, ZeroStepsWriteTheInitialParameters) {
  options.steps = 0;
  ASSERT_OK(run(options));
  EXPECT_EQ(steps(), (std::vector<int64_t>{0}));
}

TEST_F(TrainerTest, InitialParametersComeFromAFile) {
  Tensor table = Tensor::zeros(DataType::BF16, {16, 16}).take(), bias = Tensor::zeros(DataType::F32, {16}).take();
  for (int i = 0; i < 256; ++i)
    table.set(i, i / 8.0);
  bias.set(3, 0.75);
  Tensor buffer = Tensor::zeros(DataType::F32, {2, 2}).take();
  // As in files of base models: the first part of the names is missing, and there are buffers.
  ASSERT_OK(
      writeSafeTensors(folder.file("init.safetensors"), {{"weight", table}, {"bias", bias}, {"attn.mask", buffer}}));
  options.init = folder.file("init.safetensors");
  options.steps = 0;
  ASSERT_OK(run(options));
  EXPECT_NE(printed().find("attn.mask"), std::string::npos) << printed();
  SafeTensorsFile file = SafeTensorsFile::open(checkpoint(0) + "/model.safetensors").take();
  EXPECT_EQ(file.read("table.weight").take().get(255), 255 / 8.0);
  EXPECT_EQ(file.read("table.bias").take().get(3), 0.75);
}

TEST_F(TrainerTest, AFileWithoutAParameterIsRefused) {
  ASSERT_OK(
      writeSafeTensors(folder.file("init.safetensors"), {{"weight", Tensor::zeros(DataType::F32, {16, 16}).take()}}));
  options.init = folder.file("init.safetensors");
  EXPECT_ERROR(run(options), ExitCode::BadInput, "expected the parameter 'table.bias'");
}

TEST_F(TrainerTest, SizesThatTheGraphFixesAreChecked) {
  ProgramSource source;
  source.compile = [&]() -> Expected<CompiledTraining> {
    Manifest manifest = fakeTrainingManifest();
    return badInput(manifest.target);
  };
  source.signature = [&]() -> Expected<std::vector<ArgumentInfo>> {
    std::vector<ArgumentInfo> arguments = fakeSignature(model);
    for (ArgumentInfo &argument : arguments)
      if (argument.name == "tokens")
        argument.shape = {4, 8};
    return arguments;
  };
  EXPECT_ERROR(run(options, source), ExitCode::BadInput, "expected --batch=4 as in the graph, but got 2");
}
