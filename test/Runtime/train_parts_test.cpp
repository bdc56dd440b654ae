// The smaller parts of training: the schedule, metrics, plots, samples, the report, signals.
#include "FakeTraining.h"
#include "TestFiles.h"
#include "bpt/Runtime/LearningRate.h"
#include "bpt/Runtime/LossPlot.h"
#include "bpt/Runtime/MemoryPlot.h"
#include "bpt/Runtime/Metrics.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/TextSampler.h"
#include "bpt/Runtime/TrainProgram.h"
#include "bpt/Runtime/TrainReport.h"
#include <algorithm>
#include <cmath>
#include <csignal>
#include <thread>
#include <unistd.h>

using namespace bpt;

TEST(LearningRate, WarmsUpThenFollowsACosine) {
  LearningRate rate = {1e-3, 1e-4, 10, 110};
  EXPECT_DOUBLE_EQ(rate.at(1), 1e-4);
  EXPECT_DOUBLE_EQ(rate.at(10), 1e-3);
  EXPECT_DOUBLE_EQ(rate.at(60), 1e-4 + 0.9e-3 / 2);
  EXPECT_DOUBLE_EQ(rate.at(110), 1e-4);
  EXPECT_DOUBLE_EQ(rate.at(35), 1e-4 + 0.9e-3 / 2 * (1 + std::cos(M_PI / 4)));
  EXPECT_DOUBLE_EQ(rate.at(1000), 1e-4);
}

TEST(LearningRate, WarmUpMayBeAbsentOrTheWholeRun) {
  EXPECT_DOUBLE_EQ((LearningRate{1, 0, 0, 4}).at(2), 0.5);
  EXPECT_DOUBLE_EQ((LearningRate{1, 0, 4, 4}).at(4), 1);
  EXPECT_DOUBLE_EQ((LearningRate{1, 0, 8, 4}).at(4), 0.5);
}

TEST(Metrics, RowsOfLaterStepsAndTornLinesAreCut) {
  TemporaryFolder folder;
  std::string path = folder.file("metrics.jsonl");
  std::string good = "{\"step\":1,\"loss\":3}\n{\"step\":1,\"valid_loss\":4}\n{\"step\":2,\"loss\":2.5}\n";
  for (const char *tail : {"", "{\"step\":3,\"loss\":1}\n", "{\"step\":3,\"lo", "\n", "[]\n",
                           "{\"step\":3,\"loss\":1}\n{\"step\":2,\"loss\":1}\n"}) {
    writeBytes(path, good + tail);
    MetricsLog log = MetricsLog::open(path, 2).take();
    EXPECT_EQ(readBytes(path), good) << tail;
    EXPECT_EQ(log.training().size(), 2u);
    EXPECT_EQ(log.validation().size(), 1u);
  }
  MetricsLog::open(path, 0).take();
  EXPECT_EQ(readBytes(path), "");
}

TEST(Metrics, NumbersReadBackExactly) {
  EXPECT_EQ(jsonNumber(double(0.1f)), "0.1");
  EXPECT_EQ(jsonNumber(0.1), "0.1");
  EXPECT_EQ(std::stod(jsonNumber(1.0 / 3)), 1.0 / 3);
  EXPECT_EQ(static_cast<float>(std::stod(jsonNumber(double(1.0f / 3)))), 1.0f / 3);
  EXPECT_EQ(jsonNumber(std::nan("")), "null");
}

TEST(LossPlot, HasAxesCurvesAndHoverTexts) {
  std::vector<LossPoint> training, validation = {{50, 3}, {100, 2.5}};
  for (int i = 1; i <= 5000; ++i)
    training.push_back({i, 5.0 / i + 2});
  std::string svg = lossPlot("a < b & \"c\"", training, validation);
  for (const char *text : {"a &lt; b &amp; &quot;c&quot;", "<polyline", ">step<", "loss (nats per token)",
                           "validation loss 2.5000", "training 2.0010"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  EXPECT_EQ(svg.find("a < b"), std::string::npos);
  EXPECT_LT(svg.size(), 200000u);
}

TEST(LossPlot, FewOrEqualPointsAreNoProblem) {
  for (const std::vector<LossPoint> &curve :
       {std::vector<LossPoint>{}, {{1, 2}}, {{1, 2}, {2, 2}}, {{1, std::nan("")}, {2, 1}}})
    EXPECT_NE(lossPlot("x", curve, {}).find("</svg>"), std::string::npos);
}

TEST(MemoryPlot, MarksThePeakAndWhoIsAliveThere) {
  Plan plan;
  plan.slots = {{"early", "activation", 100 << 20, 0, 0, 4},
                {"loss <logits>", "workspace", 300 << 20, 0, 4, 5},
                {"late", "gradient", 50 << 20, 0, 5, 9}};
  std::string svg = memoryPlot("step", plan, {{"parameters", "parameter", 100 << 20, 0, 0, 0}});
  EXPECT_NE(svg.find("peak 500.00 MiB at position 4"), std::string::npos);
  EXPECT_NE(svg.find("300.00 MiB  loss &lt;logits&gt;"), std::string::npos);
}

TEST(MemoryPlot, LongStepsStaySmallAndAnEmptyOneIsNoProblem) {
  Plan plan;
  for (int i = 0; i < 5000; ++i)
    plan.slots.push_back({"slot " + std::to_string(i), "activation", 1000 + i, 0, i, i + 20});
  EXPECT_LT(memoryPlot("long", plan, {}).size(), 400000u);
  EXPECT_NE(memoryPlot("empty", Plan(), {}).find("</svg>"), std::string::npos);
}

TEST(TextSampler, PromptsAreBytesOrIds) {
  EXPECT_EQ(parsePrompt("ab", 256).take(), (std::vector<int32_t>{97, 98}));
  EXPECT_EQ(parsePrompt("", 256).take(), (std::vector<int32_t>{10}));
  EXPECT_EQ(parsePrompt("5,17", 50257).take(), (std::vector<int32_t>{5, 17}));
  EXPECT_EQ(parsePrompt("", 50257).take(), (std::vector<int32_t>{0}));
  EXPECT_ERROR(parsePrompt("5,x", 50257), ExitCode::Usage, "'x'");
  EXPECT_ERROR(parsePrompt("97", 97), ExitCode::Usage, "below 97");
}

TEST(TextSampler, TheLikeliestTokenFollowsAtTemperatureZero) {
  std::vector<size_t> lengths;
  NextLogits logits = [&](const std::vector<int32_t> &window, int64_t position) -> Expected<std::vector<float>> {
    lengths.push_back(window.size());
    std::vector<float> result(10, 0);
    result[static_cast<size_t>((window[static_cast<size_t>(position)] + 3) % 10)] = 5;
    return result;
  };
  SampleOptions options;
  options.count = 5;
  options.temperature = 0;
  options.context = 3;
  EXPECT_EQ(sampleTokens({1, 2}, options, logits, [] { return false; }).take(),
            (std::vector<int32_t>{1, 2, 5, 8, 1, 4, 7}));
  EXPECT_EQ(lengths, (std::vector<size_t>{2, 3, 3, 3, 3}));
}

TEST(TextSampler, SamplesFollowTheDistributionAndTheSeed) {
  NextLogits logits = [](const std::vector<int32_t> &, int64_t) -> Expected<std::vector<float>> {
    return std::vector<float>{std::log(0.7f), std::log(0.2f), std::log(0.1f)};
  };
  SampleOptions options;
  options.count = 10000;
  options.temperature = 1;
  auto run = [&] { return sampleTokens({}, options, logits, [] { return false; }).take(); };
  std::vector<int32_t> ids = run();
  EXPECT_NEAR(static_cast<double>(std::count(ids.begin(), ids.end(), 0)), 7000, 150);
  EXPECT_NEAR(static_cast<double>(std::count(ids.begin(), ids.end(), 2)), 1000, 100);
  EXPECT_EQ(run(), ids);
  options.stream = 1;
  EXPECT_NE(run(), ids);
}

TEST(TextSampler, BytesThatAreNoTextAreEscaped) {
  auto show = [](const std::string &text) {
    std::vector<int32_t> ids;
    for (char c : text)
      ids.push_back(static_cast<unsigned char>(c));
    return showTokens(ids, 256);
  };
  EXPECT_EQ(show("a\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), "a\n\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(show("\x1b[2J\r"), "\\x1b[2J\\x0d");
  EXPECT_EQ(show("\xc3(\xff\xed\xa0\x80\xc0\x80\xc2\x9b"), "\\xc3(\\xff\\xed\\xa0\\x80\\xc0\\x80\\xc2\\x9b");
  EXPECT_EQ(show("\xe2\x82"), "\\xe2\\x82");
  EXPECT_EQ(showTokens({1, 2, 300}, 50257), "1,2,300");
}

TEST(TrainReport, FormatsForPeople) {
  EXPECT_EQ(formatDuration(0.0361), "36.1ms");
  EXPECT_EQ(formatDuration(3.14), "3.1s");
  EXPECT_EQ(formatDuration(59), "59s");
  EXPECT_EQ(formatDuration(61), "1m 01s");
  EXPECT_EQ(formatDuration(3700), "1h 01m");
  EXPECT_EQ(formatDuration(200000), "2d 7h");
  EXPECT_EQ(formatCount(12), "12");
  EXPECT_EQ(formatCount(1536), "1.54k");
  EXPECT_EQ(formatCount(124439808), "124M");
}

TEST(TrainReport, AClosedPipeSilencesIt) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  std::signal(SIGPIPE, SIG_IGN);
  std::FILE *output = ::fdopen(ends[1], "w");
  TrainReport report(output, false, false);
  report.note("nobody reads this");
  report.note("nor this");
  EXPECT_TRUE(report.status().ok());
  std::fclose(output);
}

TEST(TrainReport, AFullDeviceIsAnError) {
  std::FILE *output = std::fopen("/dev/full", "w");
  ASSERT_TRUE(output);
  TrainReport report(output, false, false);
  report.note("this does not fit");
  EXPECT_ERROR(report.status(), ExitCode::Io, "<standard output>");
  std::fclose(output);
}

TEST(TrainReport, ATerminalGetsOneLine) {
  TemporaryFolder folder;
  std::FILE *output = std::fopen(folder.file("printed").c_str(), "w");
  TrainReport report(output, true, false);
  report.step({1, 3, 1, 1e-3, 10, 0.5, 20}, 3);
  report.step({2, 2.5, 1, 1e-3, 20, 0.5, 20}, 3);
  report.validation(2, 2.75);
  report.step({3, 2, 1, 1e-3, 30, 0.5, 20}, 3);
  std::fclose(output);
  std::string text = readBytes(folder.file("printed"));
  EXPECT_EQ(text.find("\r\x1b[Kstep 1/3  loss 3.0000"), 0u) << text;
  EXPECT_NE(text.find("\r\x1b[Kstep 2: validation loss 2.7500\n"), std::string::npos) << text;
  EXPECT_NE(text.find("valid 2.7500\n"), std::string::npos) << text;
}

TEST(Signals, TheFirstIsRememberedTheSecondKills) {
  installSignalHandlers();
  clearInterrupt();
  EXPECT_EQ(interruptSignal(), 0);
  std::raise(SIGTERM);
  EXPECT_EQ(interruptSignal(), SIGTERM);
  EXPECT_STREQ(interruptName(), "SIGTERM");
  std::raise(SIGTERM); // within the pause that makes two signals one wish
  clearInterrupt();
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        std::raise(SIGINT);
        std::this_thread::sleep_for(std::chrono::milliseconds(40));
        std::raise(SIGINT);
        std::_Exit(0);
      },
      testing::KilledBySignal(SIGINT), "");
}

TEST(StepSignature, SaysWhatIsMissing) {
  Manifest manifest = fakeTrainingManifest();
  EntryInfo good = **manifest.find("train_step");
  ASSERT_OK(readStepSignature(good));
  EXPECT_EQ(readStepSignature(good)->range, 16);
  EntryInfo entry = good;
  entry.arguments[6].name = "number";
  EXPECT_ERROR(readStepSignature(entry), ExitCode::BadInput, "expected an argument called 'step'");
  entry = good;
  entry.arguments.push_back({"image", DataType::F32, {3}, false, {}, false, {}, {}});
  EXPECT_ERROR(readStepSignature(entry), ExitCode::BadInput, "argument 'image' of 3xf32 is neither");
  entry = good;
  entry.results.pop_back();
  EXPECT_ERROR(readStepSignature(entry), ExitCode::BadInput,
               "'table.bias.v': expected a result that updates it in place");
  entry = good;
  entry.arguments[2].shape = {16, 15};
  EXPECT_ERROR(readStepSignature(entry), ExitCode::BadInput,
               "'table.weight.m': expected a float tensor of the static shape");
  entry = good;
  entry.arguments.back().type = DataType::I64;
  EXPECT_ERROR(readStepSignature(entry), ExitCode::BadInput, "argument 'targets': expected BxT or AxBxT of i32");
}

TEST(StepSignature, DataIsFoundByPlaceWhereItHasNoNames) {
  EntryInfo entry = **fakeTrainingManifest({16, false, true, false, true}).find("train_step");
  StepSignature named = readStepSignature(entry).take();
  for (size_t i : {named.tokens, named.targets, *named.seed})
    entry.arguments[i].name = "arg" + std::to_string(i);
  StepSignature placed = readStepSignature(entry).take();
  EXPECT_EQ(placed.tokens, named.tokens);
  EXPECT_EQ(placed.targets, named.targets);
  EXPECT_EQ(placed.seed, named.seed);
}

TEST(TrainState, InitialValuesDependOnSeedAndNameAlone) {
  std::vector<TrainedParameter> ab = {{"a", {5}, DataType::F32, DataType::F32, {Init::Kind::Normal, 0.5}},
                                      {"b", {7}, DataType::F32, DataType::F32, {Init::Kind::Normal, 0.5}}};
  std::vector<TrainedParameter> ba = {ab[1], {"c", {3}, DataType::F64, DataType::F64, {Init::Kind::Ones, 0}}, ab[0]};
  auto make = [](const std::vector<TrainedParameter> &parameters, std::vector<uint8_t> &block, uint64_t seed) {
    block.resize(static_cast<size_t>(*TrainState::bytes(parameters)));
    TrainState state = TrainState::place(parameters, block.data());
    initializeState(state, parameters, seed);
    return state;
  };
  std::vector<uint8_t> x, y, z;
  TrainState first = make(ab, x, 1), second = make(ba, y, 1), third = make(ab, z, 2);
  EXPECT_EQ(first.model[0].tensor.get(4), second.model[2].tensor.get(4));
  EXPECT_NE(first.model[0].tensor.get(4), first.model[1].tensor.get(4));
  EXPECT_NE(first.model[0].tensor.get(4), third.model[0].tensor.get(4));
  EXPECT_EQ(second.model[1].tensor.get(2), 1);
  EXPECT_EQ(second.optimizer[3].name, "c.v");
  EXPECT_EQ(second.optimizer[3].tensor.get(2), 0);
}
