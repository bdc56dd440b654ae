// Loads, stores and atomics: bounds, initialisation, races, and launches.
#include "Harness.h"
#include <gtest/gtest.h>
#include <numeric>

using namespace bpt::emulator;
using namespace bpt::test;

namespace {

LaunchResult runBody(const std::string &body, uint32_t threads, uint32_t shared = 256) {
  Kernel kernel(kernelText("", body + "  ret void\n"));
  return kernel.run({}, threads, shared, inMode(Mode::Eager));
}

std::string touch(const char *operation, int offset, const char *type = "i32") {
  std::string place =
      "ptr addrspace(3) getelementptr (i8, ptr addrspace(3) @bpt_shared, i64 " + std::to_string(offset) + ")";
  if (std::string(operation) == "load")
    return std::string("  %v = load volatile ") + type + ", " + place + "\n";
  const char *value = type[0] == 'i' ? " 1, " : " zeroinitializer, ";
  return std::string("  store volatile ") + type + value + place + "\n";
}

} // namespace

TEST(EmulatorMemory, SharedBounds) {
  EXPECT_EQ(texts(runBody(touch("store", 252) + touch("load", 252), 1)), "");
  EXPECT_EQ(kinds(runBody(touch("store", 256), 1)), "OutOfBounds");
  EXPECT_EQ(kinds(runBody(touch("store", 255, "i16"), 1)), "Misaligned");
  EXPECT_EQ(kinds(runBody(touch("store", 248, "<4 x i16>") + touch("store", 252, "[2 x i32]"), 1)), "OutOfBounds");
  EXPECT_EQ(kinds(runBody(touch("load", -4), 1)), "OutOfBounds");
}

TEST(EmulatorMemory, AlignmentIsChecked) {
  EXPECT_EQ(texts(runBody(touch("store", 16, "<4 x i32>"), 1)), "");
  EXPECT_EQ(kinds(runBody(touch("store", 8, "<4 x i32>"), 1)), "Misaligned");
  EXPECT_EQ(kinds(runBody("  call void asm sideeffect \"st.shared.v2.b32 [$0+4], {$1, $1};\", \"r,r\""
                          "(ptr addrspace(3) @bpt_shared, i32 1)\n",
                          1)),
            "Misaligned");
}

TEST(EmulatorMemory, SharedReadBeforeWritten) {
  EXPECT_EQ(kinds(runBody(touch("load", 16), 1)), "UninitialisedRead");
  EXPECT_EQ(kinds(runBody(touch("store", 16, "i16") + touch("load", 16), 1)), "UninitialisedRead");
  EXPECT_EQ(texts(runBody(touch("store", 16, "i16") + touch("store", 18, "i16") + touch("load", 16), 1)), "");
}

TEST(EmulatorMemory, ChecksOfAccessesCanBeLeftOut) {
  bpt::EmulationOptions options;
  options.checkMemory = false;
  Kernel kernel(kernelText("", touch("load", 16) + "  ret void\n"), options);
  EXPECT_EQ(texts(kernel.run({}, 32, 256, inMode(Mode::Eager))), "");
}

TEST(EmulatorMemory, TwoWritersRace) {
  EXPECT_EQ(kinds(runBody(touch("store", 0), 2)), "DataRace");
  EXPECT_EQ(texts(runBody(touch("store", 0), 1)), "");
}

// Bytes of one word that different threads write are no race.
TEST(EmulatorMemory, NeighboursInAWordDoNotRace) {
  std::string body =
      "  %p = getelementptr i16, ptr addrspace(3) @bpt_shared, i32 $tid\n  store i16 3, ptr addrspace(3) %p\n";
  EXPECT_EQ(texts(runBody(body, 64)), "");
}

TEST(EmulatorMemory, ManyReadersThenAWriter) {
  std::string body = "  %first = icmp eq i32 $tid, 0\n  br i1 %first, label %a, label %b\na:\n" + touch("store", 0) +
                     "  br label %b\nb:\n  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n" +
                     touch("load", 0);
  EXPECT_EQ(texts(runBody(body, 128)), "");
  std::string write = "  br i1 %first, label %c, label %d\nc:\n" + touch("store", 0) + "  br label %d\nd:\n";
  EXPECT_EQ(texts(runBody(body + "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n" + write, 128)), "");
  // Only the first warp meets before the write: the readers of others are not ordered before.
  std::string partly = "  %low = icmp ult i32 $tid, 64\n  br i1 %low, label %e, label %f\ne:\n"
                       "  call void @llvm.nvvm.barrier.cta.sync.count(i32 1, i32 64)\n  br label %f\nf:\n";
  EXPECT_EQ(kinds(runBody(body + partly + write, 128)), "DataRace");
}

TEST(EmulatorMemory, AtomicsDoNotRaceWithAtomics) {
  std::string zero = "  %first = icmp eq i32 $tid, 0\n  br i1 %first, label %a, label %b\na:\n"
                     "  store i32 0, ptr addrspace(3) @bpt_shared\n  br label %b\nb:\n"
                     "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n";
  std::string add = "  %o = atomicrmw add ptr addrspace(3) @bpt_shared, i32 1 monotonic\n";
  EXPECT_EQ(texts(runBody(zero + add, 64)), "");
  EXPECT_EQ(kinds(runBody(zero + add + touch("load", 0), 64)), "DataRace");
}

TEST(EmulatorMemory, GlobalBoundsAndInitialisation) {
  Kernel kernel(kernelText("ptr %in, ptr %out, i32 %extra", R"(
    %i = add i32 $tid, %extra
    %p = getelementptr i32, ptr %in, i32 %i
    %v = load i32, ptr %p
    %q = getelementptr i32, ptr %out, i32 $tid
    store i32 %v, ptr %q
    ret void
)"));
  std::vector<int> in(64), out(64);
  std::iota(in.begin(), in.end(), 0);
  void *from = in.data(), *to = out.data();
  auto runIt = [&](int extra, bool initialised, bool mark) {
    GlobalMemory memory;
    memory.add(in.data(), 256, "in", initialised);
    memory.add(out.data(), 256, "out", false);
    if (mark)
      memory.markInitialised(in.data(), 256);
    Options options = inMode(Mode::Eager);
    options.memory = &memory;
    return kernel.run({&from, &to, &extra}, 64, 0, options);
  };
  EXPECT_EQ(texts(runIt(0, true, false)), "");
  EXPECT_EQ(out, in);
  EXPECT_EQ(kinds(runIt(0, false, false)), "UninitialisedRead");
  EXPECT_EQ(texts(runIt(0, false, true)), "");
  LaunchResult beyond = runIt(1, true, false);
  EXPECT_EQ(kinds(beyond), "OutOfBounds");
  EXPECT_EQ(beyond.reports[0].thread, 63);
  EXPECT_NE(beyond.reports[0].location.find("load"), std::string::npos);
  EXPECT_EQ(beyond.blocks, 0u);
}

TEST(EmulatorMemory, AKernelSeesWhatAnEarlierOneWrote) {
  Kernel copy(kernelText("ptr %in, ptr %out",
                         "  %p = getelementptr i32, ptr %in, i32 $tid\n  %v = load i32, ptr %p\n"
                         "  %q = getelementptr i32, ptr %out, i32 $tid\n  store i32 %v, ptr %q\n  ret void\n"));
  std::vector<int> a(64, 5), b(64), c(64);
  GlobalMemory memory;
  memory.add(a.data(), 256, "a", true);
  memory.add(b.data(), 256, "b", false);
  memory.add(c.data(), 256, "c", false);
  Options options;
  options.memory = &memory;
  void *pa = a.data(), *pb = b.data(), *pc = c.data();
  EXPECT_EQ(texts(copy.run({&pa, &pb}, 32, 0, options)), "");
  EXPECT_EQ(texts(copy.run({&pb, &pc}, 32, 0, options)), "");
  EXPECT_EQ(kinds(copy.run({&pb, &pc}, 64, 0, options)), "UninitialisedRead");
}

TEST(EmulatorMemory, GlobalAtomicsOfManyBlocks) {
  Kernel kernel(kernelText("ptr %sum, ptr %real",
                           "  %o = atomicrmw add ptr %sum, i32 $tid monotonic\n"
                           "  %f = atomicrmw fadd ptr %real, float 1.0 monotonic\n  ret void\n"));
  int sum = 0;
  float real = 0;
  void *a = &sum, *b = &real;
  Options options;
  options.hostThreads = 2;
  EXPECT_EQ(texts(kernel.run({&a, &b}, 32, 0, options, {50, 1, 1})), "");
  EXPECT_EQ(sum, 50 * 31 * 16);
  EXPECT_EQ(real, 1600.0f);
}

TEST(EmulatorMemory, LocalVariablesAreNotChecked) {
  std::string body = "  %v = alloca [4 x i32], addrspace(5)\n  %g = addrspacecast ptr addrspace(5) %v to ptr\n"
                     "  store volatile i32 1, ptr %g\n  %x = load volatile i32, ptr %g\n";
  EXPECT_EQ(texts(runBody(body, 32)), "");
}

TEST(EmulatorMemory, BlocksStartWithFreshSharedMemory) {
  Kernel kernel(kernelText("", touch("load", 0) + touch("store", 0) + "  ret void\n"));
  LaunchResult result = kernel.run({}, 1, 256, inMode(Mode::Eager), {3, 1, 1});
  EXPECT_EQ(result.reportCount, 3u);
  EXPECT_EQ(result.reports[2].block[0], 2u);
}

TEST(EmulatorMemory, OnlySomeBlocks) {
  Kernel kernel(kernelText(
      "ptr %out", "  %b = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()\n  %p = getelementptr i32, ptr %out, i32 %b\n"
                  "  store i32 1, ptr %p\n  ret void\n"));
  std::vector<int> out(10);
  void *pointer = out.data();
  Options options;
  options.firstBlock = 3;
  options.blocks = 4;
  EXPECT_EQ(kernel.run({&pointer}, 1, 0, options, {10, 1, 1}).blocks, 4u);
  EXPECT_EQ(out, (std::vector<int>{0, 0, 0, 1, 1, 1, 1, 0, 0, 0}));
}

TEST(EmulatorMemory, WrongLaunchesAreRefused) {
  Kernel kernel(kernelText("", "  ret void\n"));
  EXPECT_EQ(kinds(kernel.run({}, 1025)), "BadLaunch");
  EXPECT_EQ(kinds(kernel.run({}, 0)), "BadLaunch");
  EXPECT_EQ(kinds(kernel.run({}, 32, 227 * 1024 + 1)), "BadLaunch");
  EXPECT_EQ(kinds(kernel.run({}, 32, 0, {}, {1, 65536, 1})), "BadLaunch");
  EXPECT_EQ(texts(kernel.run({}, 1024, 227 * 1024)), "");
}

TEST(EmulatorMemory, DenormalsAreFlushed) {
  Kernel kernel(
      kernelText("ptr %out, float %x", "  %y = fmul float %x, 0.5\n  store float %y, ptr %out\n  ret void\n"));
  float x = 1.5e-38f, out = 1;
  void *pointer = &out;
  kernel.run({&pointer, &x}, 1);
  EXPECT_EQ(out, 0.0f);
  Options options;
  options.flushDenormals = false;
  kernel.run({&pointer, &x}, 1, 0, options);
  EXPECT_EQ(out, 0.75e-38f);
}

TEST(EmulatorMemory, ATrapIsReported) {
  Kernel kernel(kernelText("", "  call void asm sideeffect \"trap;\", \"\"()\n  ret void\n"));
  EXPECT_EQ(kinds(kernel.run({}, 1)), "Trap");
}
