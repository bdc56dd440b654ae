// Programs: loading is checked, entries run on the planned arena, results are the same for any number of threads.
#include "FakeProgram.h"
#include "TestFiles.h"
#include "bpt/Runtime/Random.h"
#include "bpt/Runtime/Threads.h"
#include <cstring>

using namespace bpt;

namespace {

Tensor rows(int64_t count) {
  Tensor x = Tensor::allocate(DataType::F32, {count, 64}).take();
  fillNormal(x, 1, 0);
  return x;
}

Entry entryOf(const char *name) { return fakeProgram().take().entry(name).take(); }

Tensor tokens(std::vector<int32_t> values) {
  Tensor tensor = Tensor::allocate(DataType::I32, {4}).take();
  std::memcpy(tensor.data(), values.data(), 16);
  return tensor;
}

} // namespace

TEST(Program, EntriesRunForAnySizeAndAnyNumberOfThreads) {
  Entry entry = entryOf("scale");
  Tensor factor = Tensor::scalar(DataType::F32, 3).take();
  for (int64_t count : {0, 1, 5, 333})
    for (int threads : {1, 2, 7}) {
      Tensor x = rows(count);
      PrepareOptions options;
      options.threads = threads;
      ASSERT_OK(entry.prepare({{count, 64}, {}}, options));
      EXPECT_EQ(entry.plan().threads, threads);
      EXPECT_EQ(entry.flops(), count * 64);
      Expected<std::vector<Tensor>> results = entry.run({x, factor});
      ASSERT_OK(results);
      EXPECT_EQ(results->at(0).shape(), (Shape{count, 64}));
      for (int64_t i = 0; i < x.elements(); ++i)
        ASSERT_EQ(results->at(0).get(i), 3 * x.as<float>()[i]);
    }
}

#if defined(__x86_64__)
TEST(Program, DenormalsAreZeroInCompiledCodeOnly) {
  Entry entry = entryOf("scale");
  Tensor x = Tensor::zeros(DataType::F32, {333, 64}).take(), factor = Tensor::scalar(DataType::F32, 1e-10).take();
  for (int64_t i = 0; i < x.elements(); ++i)
    x.as<float>()[i] = 1e-30f;
  for (int threads : {1, 2, 7}) {
    PrepareOptions options;
    options.threads = threads;
    ASSERT_OK(entry.prepare({{333, 64}, {}}, options));
    Expected<std::vector<Tensor>> results = entry.run({x, factor});
    ASSERT_OK(results);
    for (int64_t i = 0; i < x.elements(); ++i)
      ASSERT_EQ(results->at(0).as<float>()[i], 0);
    volatile float here = x.as<float>()[0];
    EXPECT_GT(here * factor.as<float>()[0], 0);
    ThreadPool(threads).parallelFor(100, [&](int64_t, int) { EXPECT_GT(here * factor.as<float>()[0], 0); });
  }
}
#endif

TEST(Program, SlotsThatNeverLiveTogetherShareTheArena) {
  Entry entry = entryOf("scale");
  ASSERT_OK(entry.prepare({{100, 64}, {}}, {}));
  EXPECT_EQ(entry.plan().arenaBytes, 100 * 256 + 256);
}

TEST(Program, MeasuredMemoryIsThePlan) {
  Entry entry = entryOf("scale");
  int64_t before = allocatedBytes();
  ASSERT_OK(entry.prepare({{100000, 64}, {}}, {}));
  EXPECT_EQ(allocatedBytes() - before, entry.plan().arenaBytes);
  EXPECT_GE(peakAllocatedBytes(), allocatedBytes());
  entry = entryOf("fail");
  EXPECT_EQ(allocatedBytes(), before);
}

TEST(Program, ResultsInPlaceAreTheArgument) {
  Entry entry = entryOf("step");
  Tensor w = Tensor::zeros(DataType::F32, {8}).take();
  ASSERT_OK(entry.prepare({{8}, {4}}, {}));
  for (int run = 1; run <= 3; ++run) {
    Expected<std::vector<Tensor>> results = entry.run({w, tokens({0, 9, -100, 5})});
    ASSERT_OK(results);
    EXPECT_EQ(results->at(0).getInteger(0), 3);
    EXPECT_EQ(results->at(1).data(), w.data());
    EXPECT_EQ(w.get(7), run);
  }
}

TEST(Program, IntegersOutsideTheRangeAreNamedWithTheirIndex) {
  Entry entry = entryOf("step");
  Tensor w = Tensor::zeros(DataType::F32, {8}).take();
  ASSERT_OK(entry.prepare({{8}, {4}}, {}));
  EXPECT_ERROR(entry.run({w, tokens({0, 9, 10, 5})}), ExitCode::BadInput,
               "argument 'tokens': expected integers from 0 to 9 or -100, but got 10 at index [2]");
  EXPECT_ERROR(entry.run({w, tokens({0, -1, 1, 5})}), ExitCode::BadInput, "but got -1 at index [1]");
  EXPECT_EQ(w.get(0), 0) << "the entry must not have run";
}

TEST(Program, ArgumentsAreCheckedAgainstTheSignature) {
  Entry entry = entryOf("scale");
  EXPECT_ERROR(entry.prepare({{3, 64}}, {}), ExitCode::BadInput, "expected 2 arguments, but got 1");
  EXPECT_ERROR(entry.prepare({{3, 63}, {}}, {}), ExitCode::BadInput,
               "argument 'x': expected ?x64xf32, but got 3x63xf32");
  EXPECT_ERROR(entry.prepare({{3, 64}, {1}}, {}), ExitCode::BadInput, "argument 'factor': expected f32, but got 1xf32");
  EXPECT_ERROR(entry.prepare({{-3, 64}, {}}, {}), ExitCode::BadInput, "argument 'x'");
  EXPECT_ERROR(entry.run({rows(3), rows(1)}), ExitCode::BadInput, "was not prepared");
  ASSERT_OK(entry.prepare({{3, 64}, {}}, {}));
  Tensor factor = Tensor::scalar(DataType::F32, 3).take();
  EXPECT_ERROR(entry.run({rows(4), factor}), ExitCode::BadInput, "expected 3x64xf32 as prepared, but got 4x64xf32");
  EXPECT_ERROR(entry.run({rows(3), Tensor::scalar(DataType::F64, 3).take()}), ExitCode::BadInput, "but got f64");
  EXPECT_ERROR(entry.run({rows(3), Tensor()}), ExitCode::BadInput, "argument 'factor' has no data");
}

TEST(Program, SizesThatOverflowAreErrors) {
  Entry entry = entryOf("scale");
  EXPECT_ERROR(entry.prepare({{int64_t(1) << 55, 64}, {}}, {}), ExitCode::BadInput, "has more than 2^63 bytes");
  EXPECT_ERROR(entry.prepare({{int64_t(1) << 45, 64}, {}}, {}), ExitCode::Memory, "this machine has");
}

TEST(Program, MemoryLimitIsKept) {
  Entry entry = entryOf("scale");
  PrepareOptions options;
  options.memoryLimit = 1000;
  EXPECT_ERROR(entry.prepare({{100, 64}, {}}, options), ExitCode::Memory, "but the limit is 1000 B");
  ASSERT_OK(entry.prepare({{1, 64}, {}}, options));
}

TEST(Program, EntriesCanShareAnArena) {
  PrepareOptions options;
  options.arena = std::make_shared<Arena>();
  Entry small = entryOf("step"), large = entryOf("scale");
  ASSERT_OK(small.prepare({{8}, {4}}, options));
  ASSERT_OK(large.prepare({{50, 64}, {}}, options));
  EXPECT_EQ(options.arena->bytes(), large.plan().arenaBytes);
  Tensor w = Tensor::zeros(DataType::F32, {8}).take();
  ASSERT_OK(small.run({w, tokens({1, 2, 3, 4})}));
  Tensor x = rows(50);
  Expected<std::vector<Tensor>> results = large.run({x, Tensor::scalar(DataType::F32, 2).take()});
  ASSERT_OK(results);
  EXPECT_EQ(results->at(0).get(77), 2 * x.get(77));
}

TEST(Program, StatusOfTheCodeIsReported) {
  Entry entry = entryOf("fail");
  ASSERT_OK(entry.prepare({}, {}));
  EXPECT_ERROR(entry.run({}), ExitCode::BadInput, "entry 'fail' returned status 7");
}

TEST(Program, MissingCodeIsReported) {
  Manifest manifest = fakeManifest();
  manifest.entries[1].symbol = "elsewhere";
  EXPECT_ERROR(fakeProgram(manifest), ExitCode::BadInput, "the code of entry 'step' is missing: no symbol 'elsewhere'");
}

TEST(Program, ResultsThatDoNotFitTheirSlotAreRefused) {
  Manifest manifest = fakeManifest();
  manifest.entries[0].results[0].shape[1] = Formula(65);
  Entry entry = fakeProgram(manifest).take().entry("scale").take();
  EXPECT_ERROR(entry.prepare({{2, 64}, {}}, {}), ExitCode::BadInput,
               "result 'y': 2x65xf32 does not fit into its slot of 512");
  manifest = fakeManifest();
  manifest.entries[1].results[1].shape[0] = Formula(9);
  entry = fakeProgram(manifest).take().entry("step").take();
  EXPECT_ERROR(entry.prepare({{8}, {4}}, {}), ExitCode::BadInput,
               "result 'w': is 9xf32, but the argument updated in place");
}

TEST(Program, FeaturesTheMachineLacksAreNamed) {
  Manifest manifest = fakeManifest();
  manifest.cpuFeatures = {"+sse2", "+lwp", "+fma4", "-xop", "+prefer-256-bit"};
  // No processor has both AMD's abandoned LWP and AMX.
  manifest.cpuFeatures.push_back("+amx-tile");
  EXPECT_ERROR(fakeProgram(manifest), ExitCode::BadInput, "the code needs CPU features this machine lacks: lwp");
  manifest.cpuFeatures = {"+sse2", "+from-the-future"};
  EXPECT_ERROR(fakeProgram(manifest), ExitCode::BadInput, "this runtime cannot check: 'from-the-future'");
}

TEST(Program, SharedObjectsRun) {
  Entry entry;
  {
    Expected<Program> program = Program::open(BPT_FAKE_OBJECT);
    ASSERT_OK(program);
    entry = program->entry("").take(); // keeps the code loaded
  }
  Tensor x = Tensor::zeros(DataType::F64, {1000}).take();
  fillNormal(x, 3, 0);
  PrepareOptions options;
  options.threads = 3;
  ASSERT_OK(entry.prepare({{1000}}, options));
  Expected<std::vector<Tensor>> results = entry.run({x});
  ASSERT_OK(results);
  for (int64_t i = 0; i < 1000; ++i)
    ASSERT_EQ(results->at(0).get(i), 2 * x.get(i));
}

TEST(Program, FilesThatAreNoProgramsAreRefused) {
  TemporaryFolder folder;
  EXPECT_ERROR(Program::open(folder.file("none.so")), ExitCode::Io, "cannot open: No such file");
  writeBytes(folder.file("text.so"), "hello");
  EXPECT_ERROR(Program::open(folder.file("text.so")), ExitCode::BadInput,
               "expected a shared object made by bpt-compile");
  writeBytes(folder.file("broken.so"), "\177ELF and then nothing");
  EXPECT_ERROR(Program::open(folder.file("broken.so")), ExitCode::BadInput, "cannot load");
}
