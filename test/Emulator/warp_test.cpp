// Special registers and collectives of warps.
#include "Harness.h"
#include <gtest/gtest.h>

using namespace bpt::emulator;
using namespace bpt::test;

namespace {

/// Runs `body`, which computes an i32 %v in each thread; the values by thread.
std::vector<int> perThread(const std::string &body, uint32_t threads, LaunchResult *result = nullptr) {
  Kernel kernel(
      kernelText("ptr %out", body + "  %place = getelementptr i32, ptr %out, i32 $tid\n  store i32 %v, ptr %place\n"
                                    "  ret void\n"));
  std::vector<int> out(threads, -1);
  void *pointer = out.data();
  LaunchResult local = kernel.run({&pointer}, threads);
  if (result)
    *result = local;
  else
    EXPECT_EQ(texts(local), "");
  return out;
}

std::string shuffle(const char *mode, const char *lane, const char *clamp, const char *mask = "-1") {
  return std::string("  %v = call i32 @llvm.nvvm.shfl.sync.") + mode + ".i32(i32 " + mask + ", i32 $lane, i32 " + lane +
         ", i32 " + clamp + ")\n";
}

} // namespace

TEST(EmulatorWarp, SpecialRegistersOfThreeDimensions) {
  Kernel kernel(kernelText("ptr %out", R"(
    %x = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()
    %y = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.y()
    %z = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.z()
    %nx = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.x()
    %ny = call i32 @llvm.nvvm.read.ptx.sreg.nctaid.y()
    %nt = call i32 @llvm.nvvm.read.ptx.sreg.ntid.x()
    %a = mul i32 %z, %ny
    %b = add i32 %a, %y
    %c = mul i32 %b, %nx
    %d = add i32 %c, %x
    %e = mul i32 %d, %nt
    %i = add i32 %e, $tid
    %place = getelementptr i32, ptr %out, i32 %i
    store i32 %i, ptr %place
    ret void
)"));
  std::vector<int> out(3 * 2 * 4 * 40, -1);
  void *pointer = out.data();
  LaunchResult result = kernel.run({&pointer}, 40, 0, {}, {3, 2, 4});
  EXPECT_EQ(texts(result), "");
  EXPECT_EQ(result.blocks, 24u);
  for (int i = 0; i < int(out.size()); ++i)
    EXPECT_EQ(out[i], i);
}

// PTX ISA 8.7, 9.7.9.6: lanes whose source is out of range keep their own value.
TEST(EmulatorWarp, ShufflesOfAllModes) {
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(perThread(shuffle("idx", "5", "31"), 32)[i], 5);
    EXPECT_EQ(perThread(shuffle("bfly", "3", "31"), 32)[i], i ^ 3);
    EXPECT_EQ(perThread(shuffle("down", "4", "31"), 32)[i], i + 4 < 32 ? i + 4 : i);
    EXPECT_EQ(perThread(shuffle("up", "4", "0"), 32)[i], i >= 4 ? i - 4 : i);
    if (i == 2) // once is enough for the segments: the loop is over lanes
      break;
  }
  std::vector<int> segments = perThread(shuffle("down", "1", "6175"), 32); // segments of 8 lanes: mask 24, clamp 31
  std::vector<int> first = perThread(shuffle("idx", "2", "6175"), 32);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(segments[i], i % 8 < 7 ? i + 1 : i);
    EXPECT_EQ(first[i], i / 8 * 8 + 2);
  }
}

TEST(EmulatorWarp, ShuffleWithPredicateAndInPTX) {
  std::string body = "  %p = call {i32, i1} @llvm.nvvm.shfl.sync.down.i32p(i32 -1, i32 $lane, i32 8, i32 31)\n"
                     "  %w = extractvalue {i32, i1} %p, 1\n  %v = zext i1 %w to i32\n";
  std::vector<int> valid = perThread(body, 32);
  std::string ptx = "  %v = call i32 asm sideeffect \"shfl.sync.bfly.b32 $0, $1, 16, 31, -1;\", \"=r,r\"(i32 $lane)\n";
  std::vector<int> crossed = perThread(ptx, 32);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(valid[i], i < 24);
    EXPECT_EQ(crossed[i], i ^ 16);
  }
}

TEST(EmulatorWarp, VotesMatchesAndElection) {
  std::string odd = "  %odd = trunc i32 $lane to i1\n";
  for (int value : perThread(odd + "  %v = call i32 @llvm.nvvm.vote.ballot.sync(i32 -1, i1 %odd)\n", 32))
    EXPECT_EQ(value, int(0xaaaaaaaa));
  for (int value :
       perThread(odd + "  %b = call i1 @llvm.nvvm.vote.all.sync(i32 -1, i1 %odd)\n  %v = zext i1 %b to i32\n", 32))
    EXPECT_EQ(value, 0);
  for (int value :
       perThread(odd + "  %b = call i1 @llvm.nvvm.vote.any.sync(i32 -1, i1 %odd)\n  %v = zext i1 %b to i32\n", 32))
    EXPECT_EQ(value, 1);
  std::vector<int> match =
      perThread("  %q = lshr i32 $lane, 2\n  %v = call i32 @llvm.nvvm.match.any.sync.i32(i32 -1, i32 %q)\n", 32);
  std::vector<int> elected =
      perThread("  %e = call {i32, i1} @llvm.nvvm.elect.sync(i32 -1)\n  %b = extractvalue {i32, i1} %e, 1\n"
                "  %v = zext i1 %b to i32\n",
                64);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(match[i], 0xf << i / 4 * 4);
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(elected[i], i % 32 == 0);
}

// Half of the warp shuffles alone: nobody waits for the others.
TEST(EmulatorWarp, PartialMasks) {
  std::string body =
      "  %low = icmp ult i32 $lane, 16\n  br i1 %low, label %yes, label %join\nyes:\n"
      "  %s = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 65535, i32 $lane, i32 3, i32 31)\n  br label %join\njoin:\n"
      "  %v = phi i32 [ 99, %0 ], [ %s, %yes ]\n";
  std::vector<int> values = perThread(body, 32);
  EXPECT_EQ(values[0], 3);
  EXPECT_EQ(values[31], 99);
}

TEST(EmulatorWarp, LanesInDifferentCollectivesAreReported) {
  LaunchResult result;
  perThread("  %low = icmp ult i32 $lane, 16\n  br i1 %low, label %yes, label %no\n"
            "yes:\n  %s = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 $lane, i32 3, i32 31)\n  br label %join\n"
            "no:\n  %t = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 $lane, i32 1, i32 31)\n  br label %join\n"
            "join:\n  %v = phi i32 [ %s, %yes ], [ %t, %no ]\n",
            32, &result);
  EXPECT_EQ(kinds(result), "DivergentCollective");
}

TEST(EmulatorWarp, ALaneThatNeverComesIsADeadlock) {
  LaunchResult result;
  perThread("  %low = icmp ult i32 $lane, 31\n  br i1 %low, label %yes, label %no\n"
            "yes:\n  %s = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 -1, i32 $lane, i32 3, i32 31)\n  br label %join\n"
            "no:\n  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n  br label %join\n"
            "join:\n  %v = phi i32 [ %s, %yes ], [ 0, %no ]\n",
            32, &result);
  EXPECT_EQ(kinds(result), "Deadlock");
  EXPECT_NE(texts(result).find("shfl.sync.idx"), std::string::npos) << texts(result);
  EXPECT_NE(texts(result).find("barrier 0 (1 of 32"), std::string::npos) << texts(result);
  EXPECT_EQ(result.blocks, 0u);
}

TEST(EmulatorWarp, LaneOutsideItsMaskIsReported) {
  LaunchResult result;
  perThread("  %v = call i32 @llvm.nvvm.shfl.sync.idx.i32(i32 1, i32 $lane, i32 0, i32 31)\n", 32, &result);
  EXPECT_EQ(kinds(result), "DivergentCollective");
}

TEST(EmulatorWarp, SetmaxnregMustBeUniform) {
  LaunchResult good, bad;
  perThread("  call void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 24)\n  %v = add i32 0, 0\n", 32, &good);
  EXPECT_EQ(texts(good), "");
  perThread("  %low = icmp ult i32 $lane, 16\n  br i1 %low, label %yes, label %no\n"
            "yes:\n  call void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 24)\n  br label %join\n"
            "no:\n  call void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 32)\n  br label %join\njoin:\n  %v = add "
            "i32 0, 0\n",
            32, &bad);
  EXPECT_EQ(kinds(bad), "DivergentCollective NonUniformOperands");
}

TEST(EmulatorWarp, Reductions) {
  for (int value : perThread("  %v = call i32 @llvm.nvvm.redux.sync.add(i32 $lane, i32 -1)\n", 32))
    EXPECT_EQ(value, 31 * 16);
  for (int value :
       perThread("  %n = sub i32 5, $lane\n  %v = call i32 @llvm.nvvm.redux.sync.min(i32 %n, i32 -1)\n", 32))
    EXPECT_EQ(value, -26);
  for (int value :
       perThread("  %n = sub i32 5, $lane\n  %v = call i32 @llvm.nvvm.redux.sync.umax(i32 %n, i32 -1)\n", 32))
    EXPECT_EQ(value, -1);
}

// 240 registers for two warpgroups leave 32 for a third of the 64 Ki.
TEST(EmulatorWarp, SetmaxnregMustFitTheMultiprocessor) {
  auto body = [](int consumers) {
    std::string up = std::to_string(consumers);
    return "  %producer = icmp ult i32 $tid, 128\n  br i1 %producer, label %down, label %up\n"
           "down:\n  call void @llvm.nvvm.setmaxnreg.dec.sync.aligned.u32(i32 40)\n  br label %join\n"
           "up:\n  call void @llvm.nvvm.setmaxnreg.inc.sync.aligned.u32(i32 " +
           up + ")\n  br label %join\njoin:\n  %v = add i32 0, 0\n";
  };
  LaunchResult result;
  perThread(body(232), 384, &result);
  EXPECT_EQ(texts(result), "");
  perThread(body(240), 384, &result);
  EXPECT_EQ(kinds(result), "TooManyRegisters");
}

namespace {

/// stmatrix of four matrices whose elements are thread * 8 + register * 2 + half, then a barrier, then shared memory
/// to %out.
std::string matrixKernel(const char *transposed, const char *load) {
  return kernelText("ptr %out", std::string(R"(
    %row = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 0
    %off = mul i32 $lane, 16
    %place = getelementptr i8, ptr addrspace(3) @bpt_shared, i32 %off
    %a = mul i32 $lane, 524296
    %r0 = add i32 %a, 65536
    %r1 = add i32 %r0, 131074
    %r2 = add i32 %r1, 131074
    %r3 = add i32 %r2, 131074
    call void @llvm.nvvm.stmatrix.sync.aligned.m8n8.x4)") +
                                    transposed + R"(.b16.p3(ptr addrspace(3) %place, i32 %r0, i32 %r1, i32 %r2, i32 %r3)
    call void @llvm.nvvm.bar.warp.sync(i32 -1)
    %w = call {i32, i32, i32, i32} @llvm.nvvm.ldmatrix.sync.aligned.m8n8.x4)" +
                                    load + R"(.b16.p3(ptr addrspace(3) %place)
    %o = getelementptr {i32, i32, i32, i32}, ptr %out, i32 $lane
    %w0 = extractvalue {i32, i32, i32, i32} %w, 0
    %w1 = extractvalue {i32, i32, i32, i32} %w, 1
    %w2 = extractvalue {i32, i32, i32, i32} %w, 2
    %w3 = extractvalue {i32, i32, i32, i32} %w, 3
    store i32 %w0, ptr %o
    %o1 = getelementptr i32, ptr %o, i32 1
    store i32 %w1, ptr %o1
    %o2 = getelementptr i32, ptr %o, i32 2
    store i32 %w2, ptr %o2
    %o3 = getelementptr i32, ptr %o, i32 3
    store i32 %w3, ptr %o3
    ret void
)");
}

/// What lane `lane` put into half `half` of register `r`.
int element(int lane, int r, int half) { return lane * 8 + r * 2 + half; }

} // namespace

// PTX ISA 8.7, 9.7.14.5.15: lane l holds row l/4, columns 2(l%4) and 2(l%4) + 1.
TEST(EmulatorWarp, StoredMatricesComeBack) {
  std::vector<uint16_t> out(32 * 8);
  void *pointer = out.data();
  EXPECT_EQ(texts(Kernel(matrixKernel("", "")).run({&pointer}, 32, 512)), "");
  for (int lane = 0; lane < 32; ++lane)
    for (int r = 0; r < 4; ++r)
      for (int half = 0; half < 2; ++half)
        EXPECT_EQ(out[lane * 8 + r * 2 + half], element(lane, r, half));
}

TEST(EmulatorWarp, TransposedOnceEachWay) {
  for (bool store : {true, false}) {
    std::vector<uint16_t> out(32 * 8);
    void *pointer = out.data();
    EXPECT_EQ(texts(Kernel(matrixKernel(store ? ".trans" : "", store ? "" : ".trans")).run({&pointer}, 32, 512)), "");
    for (int lane = 0; lane < 32; ++lane)
      for (int r = 0; r < 4; ++r)
        for (int half = 0; half < 2; ++half) {
          int row = lane / 4, column = lane % 4 * 2 + half; // of the transposed matrix
          EXPECT_EQ(out[lane * 8 + r * 2 + half], element(column * 4 + row / 2, r, row % 2));
        }
  }
}
