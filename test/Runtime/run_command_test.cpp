// Arguments by name or made up, runs, benchmarks and comparisons: what bpt-exec and bpt-run are made of.
#include "FakeProgram.h"
#include "TestFiles.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/Random.h"
#include "bpt/Runtime/RunCommand.h"
#include <cmath>

using namespace bpt;

namespace {

Expected<EntryRun> start(const RunRequest &request) {
  std::string warnings;
  return EntryRun::start(fakeProgram().take(), request, warnings);
}

RunRequest scaleRequest(int64_t rows) {
  RunRequest request;
  request.entry = "scale";
  request.shapes["x"] = {rows, 64};
  request.threads = 2;
  return request;
}

/// A file with `tensors`, as a request's inputs.
std::string inputsWith(const TemporaryFolder &folder, const std::vector<NamedTensor> &tensors) {
  EXPECT_TRUE(writeSafeTensors(folder.file("in"), tensors).ok());
  return folder.file("in");
}

NamedTensor vectorOf(const char *name, std::vector<double> values, DataType type = DataType::F32) {
  Tensor tensor = Tensor::allocate(type, {static_cast<int64_t>(values.size())}).take();
  for (size_t i = 0; i < values.size(); ++i)
    tensor.set(static_cast<int64_t>(i), values[i]);
  return {name, tensor};
}

} // namespace

TEST(Run, RandomArgumentsDependOnTheSeed) {
  RunRequest request = scaleRequest(4);
  EntryRun a = start(request).take(), b = start(request).take();
  request.seed = 1;
  EntryRun c = start(request).take();
  EXPECT_EQ(a.arguments()[0].get(5), b.arguments()[0].get(5));
  EXPECT_NE(a.arguments()[0].get(5), c.arguments()[0].get(5));
}

TEST(Run, RandomArgumentsDoNotDependOnTheOthers) {
  TemporaryFolder folder;
  RunRequest request = scaleRequest(4);
  EntryRun all = start(request).take();
  request.inputs = inputsWith(folder, {{"x", Tensor::zeros(DataType::F32, {9, 64}).take()}});
  request.shapes.clear();
  EntryRun given = start(request).take();
  EXPECT_EQ(given.arguments()[0].shape(), (Shape{9, 64}));
  EXPECT_EQ(given.arguments()[1].get(0), all.arguments()[1].get(0));
}

TEST(Run, RandomIntegersStayInTheirRange) {
  RunRequest request;
  request.entry = "step";
  for (uint64_t seed = 0; seed < 50; ++seed) {
    request.seed = seed;
    EntryRun run = start(request).take();
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_GE(run.arguments()[1].getInteger(i), 0);
      EXPECT_LT(run.arguments()[1].getInteger(i), 10);
    }
  }
}

TEST(Run, MistakesInTheInputsShowBothSides) {
  TemporaryFolder folder;
  RunRequest request = scaleRequest(4);
  request.inputs = inputsWith(folder, {{"factr", Tensor::scalar(DataType::F32, 1).take()}});
  EXPECT_ERROR(start(request), ExitCode::BadInput, "no argument of 'scale' is called 'factr'; did you mean 'factor'");
  request.inputs = inputsWith(folder, {{"factor", Tensor::scalar(DataType::F64, 1).take()}});
  EXPECT_ERROR(start(request), ExitCode::BadInput, "argument 'factor': expected f32, but got f64");
  request.inputs = inputsWith(folder, {{"x", Tensor::zeros(DataType::F32, {9, 63}).take()}});
  EXPECT_ERROR(start(request), ExitCode::BadInput, "argument 'x': expected ?x64xf32, but got 9x63xf32");
  request = scaleRequest(4);
  request.shapes = {{"y", {1}}};
  EXPECT_ERROR(start(request), ExitCode::BadInput, "--shape: no argument of 'scale' is called 'y'");
  request.shapes.clear();
  EXPECT_ERROR(start(request), ExitCode::BadInput, "argument 'x' is ?x64xf32 and is not given");
  EXPECT_ERROR(start(request), ExitCode::BadInput, "--shape=x=8x64");
}

TEST(Run, BenchReportsTheContractFields) {
  EntryRun run = start(scaleRequest(100)).take();
  ASSERT_OK(run.execute());
  ASSERT_OK(run.bench(5));
  const RunReport &report = run.report();
  EXPECT_EQ(report.runs, 5);
  EXPECT_GT(report.fastest, 0);
  EXPECT_LE(report.fastest, report.seconds);
  EXPECT_LE(report.seconds, report.slowest);
  EXPECT_EQ(report.flops, 6400);
  EXPECT_EQ(report.argumentBytes, 100 * 256 + 4);
  EXPECT_EQ(report.plannedPeakBytes, 100 * 256 + 2 * 256);
  EXPECT_EQ(report.measuredPeakBytes, report.plannedPeakBytes);
  std::string json = benchJson(report);
  for (const char *field : {"entry", "target", "threads", "seconds", "flops", "gflops", "argument_bytes",
                            "planned_peak_bytes", "measured_peak_bytes"})
    EXPECT_NE(json.find("\"" + std::string(field) + "\":"), std::string::npos) << json;
}

TEST(Run, JsonNamesEveryResult) {
  TemporaryFolder folder;
  RunRequest request;
  request.entry = "step";
  request.threads = 1;
  request.inputs = inputsWith(
      folder, {vectorOf("w", {1, 2, 3, 4, 5, 6, INFINITY, NAN}), vectorOf("tokens", {1, 2, 3, 4}, DataType::I32)});
  EntryRun run = start(request).take();
  ASSERT_OK(run.execute());
  EXPECT_EQ(runJson(run), R"({"entry":"step","target":"cpu","threads":1,"argument_bytes":48,"planned_peak_bytes":320,)"
                          R"("measured_peak_bytes":320,"results":{)"
                          R"("count":{"dtype":"I64","shape":[],"min":4.0,"max":4.0,"mean":4.0,"non_finite":0},)"
                          R"("w":{"dtype":"F32","shape":[8],"min":2.0,"max":7.0,"mean":4.5,"non_finite":2}}})");
  EXPECT_NE(formatRun(run).find("2 not finite"), std::string::npos);
}

TEST(RunReference, LeavesTheArgumentsAlone) {
  RunRequest request;
  request.entry = "step";
  Program program = fakeProgram().take();
  std::string warnings;
  EntryRun run = EntryRun::start(program, request, warnings).take();
  double before = run.arguments()[0].get(3);
  Expected<std::vector<NamedTensor>> reference = runReference(program, "step", run.arguments(), 1);
  ASSERT_OK(reference);
  EXPECT_EQ(run.arguments()[0].get(3), before);
  ASSERT_OK(run.execute());
  Expected<std::vector<Comparison>> comparison = compareResults(run.results(), *reference);
  ASSERT_OK(comparison);
  for (const Comparison &result : *comparison)
    EXPECT_EQ(result.maxAbs, 0) << result.name;
}

TEST(CompareResults, Measures) {
  std::vector<Comparison> comparison =
      compareResults({vectorOf("y", {1, 2, 3, 4})}, {vectorOf("y", {1, 2, 3, 5}, DataType::F64)}).take();
  EXPECT_EQ(comparison[0].maxAbs, 1);
  EXPECT_EQ(comparison[0].maxRel, 0.2);
  EXPECT_EQ(comparison[0].rms, 0.5);
  EXPECT_EQ(comparisonJson(comparison), R"({"y":{"max_abs":1.0,"max_rel":0.2,"rms":0.5}})");
}

TEST(CompareResults, NonFiniteValuesAgreeOrAreInfinitelyWrong) {
  auto differ = [](double a, double b) {
    return compareResults({vectorOf("y", {a})}, {vectorOf("y", {b})}).take()[0].maxAbs;
  };
  EXPECT_EQ(differ(-INFINITY, -INFINITY), 0);
  EXPECT_EQ(differ(NAN, NAN), 0);
  EXPECT_EQ(differ(INFINITY, -INFINITY), INFINITY);
  EXPECT_EQ(differ(NAN, 1), INFINITY);
  EXPECT_EQ(differ(1, -INFINITY), INFINITY);
  EXPECT_EQ(
      comparisonJson(compareResults({vectorOf("y", {NAN})}, {vectorOf("y", {0})}).take()),
      R"({"y":{"max_abs":1.7976931348623157e+308,"max_rel":1.7976931348623157e+308,"rms":1.7976931348623157e+308}})");
}

TEST(CompareResults, ShapesMustAgree) {
  EXPECT_ERROR(compareResults({vectorOf("y", {1})}, {vectorOf("y", {1, 2})}), ExitCode::BadInput,
               "result 'y': expected 2xf32 as in the reference, but got 1xf32");
  EXPECT_ERROR(compareResults({}, {vectorOf("y", {1})}), ExitCode::BadInput, "expected 1 results");
}

TEST(CheckExpected, TakesTolerancesFromTheFile) {
  std::string path = testing::TempDir() + "/expected.safetensors";
  Tensor one = *Tensor::scalar(DataType::F32, 1.0), near = *Tensor::scalar(DataType::F32, 1.25);
  ASSERT_TRUE(writeSafeTensors(path, {{"y", near}}, {{{"tolerance.y", "0.25"}}}).ok());
  EXPECT_TRUE(checkExpected({{"y", one}}, path).ok());
  ASSERT_TRUE(writeSafeTensors(path, {{"y", near}}, {{{"tolerance.y", "0.2"}}}).ok());
  Status status = checkExpected({{"y", one}}, path);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("'y' is 0.25 away, 0.2 allowed"), std::string::npos) << status.error().message;
  // Without one: four units in the last place.
  ASSERT_TRUE(writeSafeTensors(path, {{"y", near}}).ok());
  EXPECT_FALSE(checkExpected({{"y", one}}, path).ok());
  EXPECT_TRUE(checkExpected({{"y", near}}, path).ok());
  ASSERT_TRUE(writeSafeTensors(path, {{"y", near}}, {{{"tolerance.y", "much"}}}).ok());
  EXPECT_FALSE(checkExpected({{"y", one}}, path).ok());
}

TEST(NearestName, IsCloseOrNothing) {
  EXPECT_EQ(nearestName("tokns", {"targets", "tokens"}), "tokens");
  EXPECT_EQ(nearestName("x", {"transformer.wte.weight"}), "");
  EXPECT_EQ(nearestName(std::string(100000, 'x'), {"x"}), "");
}
