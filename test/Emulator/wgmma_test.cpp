// Products of warpgroups: values for all layouts and types, and the bugs around them.
#include "WgmmaKernel.h"
#include <gtest/gtest.h>

using namespace bpt::emulator;
using namespace bpt::test;

namespace {

constexpr uint32_t tileBytes = 120 * 1024; ///< of shared memory that kernels here fill

/// The product of the first `k` columns, by thread and register (CLayout_64xN).
std::vector<float> expected(const Operand &a, const Operand &b, uint32_t k, float sign = 1, float base = 0) {
  std::vector<float> numbers;
  for (uint32_t thread = 0; thread < 128; ++thread)
    for (uint32_t i = 0; i < b.extent / 2; ++i) {
      uint32_t row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + thread % 4 * 2 + i % 2;
      float sum = base;
      for (uint32_t kk = 0; kk < k; ++kk)
        sum += sign * a.numbers[row * a.k + kk] * b.numbers[column * b.k + kk];
      numbers.push_back(sum);
    }
  return numbers;
}

/// One product with fence, commit and wait. Elements are small integers, so that sums are exact in any order.
void checkProduct(Product product, Atom atomA, Atom atomB) {
  uint32_t k = product.type == "tf32" ? 8 : 16;
  Operand a = makeOperand(64, k, product.type, atomA, product.transposeA, 1);
  Operand b = makeOperand(product.n, k, product.type, atomB, product.transposeB, 2);
  std::string body = wgmmaFence + product.text() + wgmmaCommit + tiedWait(0, product.n / 2, "%d", "%w");
  LaunchResult result;
  std::vector<float> out =
      runWgmma(wgmmaKernel(tileBytes, body, product.n / 2, "%w"), a, b,
               product.registers ? fragmentsOf(a, product.type) : std::vector<uint32_t>(), product.n / 2, result);
  EXPECT_EQ(texts(result), "");
  EXPECT_EQ(out, expected(a, b, k, float(product.signA * product.signB)));
}

constexpr Atom allAtoms[] = {Atom::Interleave, Atom::B32, Atom::B64, Atom::B128};

} // namespace

TEST(EmulatorWgmma, KMajorOperandsOfAllSwizzles) {
  for (Atom atom : allAtoms)
    for (const char *type : {"bf16", "f16", "tf32"}) {
      Product product;
      product.n = 24;
      product.type = type;
      checkProduct(product, atom, atom);
    }
}

TEST(EmulatorWgmma, MnMajorOperandsOfAllSwizzles) {
  for (Atom atom : allAtoms)
    for (int which = 1; which < 4; ++which) {
      Product product;
      product.n = 128;
      product.transposeA = which & 1;
      product.transposeB = which & 2;
      checkProduct(product, atom, atom);
    }
}

TEST(EmulatorWgmma, AllWidths) {
  for (uint32_t n : {8u, 16u, 40u, 96u, 176u, 192u, 256u}) {
    Product product;
    product.n = n;
    checkProduct(product, Atom::B128, Atom::B128);
  }
}

TEST(EmulatorWgmma, AFromRegisters) {
  for (const char *type : {"bf16", "f16", "tf32"}) {
    Product product;
    product.registers = true;
    product.n = 64;
    product.type = type;
    checkProduct(product, Atom::B128, Atom::B128);
    product.transposeB = std::string(type) != "tf32";
    checkProduct(product, Atom::B128, Atom::B128);
  }
}

TEST(EmulatorWgmma, SignsAreApplied) {
  for (int signs = 0; signs < 4; ++signs)
    for (bool registers : {false, true}) {
      Product product;
      product.registers = registers;
      product.signA = signs & 1 ? -1 : 1;
      product.signB = signs & 2 ? -1 : 1;
      checkProduct(product, Atom::B128, Atom::B64);
    }
}

namespace {

const Operand &chainA() {
  static const Operand operand = makeOperand(64, 64, "bf16", Atom::B128, false, 3);
  return operand;
}
const Operand &chainB() {
  static const Operand operand = makeOperand(16, 64, "bf16", Atom::B128, false, 4);
  return operand;
}

/// Four k-blocks, descriptors advanced inside the asm; the first overwrites. Accumulators %c0.. come out.
std::string chain(bool addsToInput = false) {
  std::string text;
  for (uint32_t step = 0; step < 4; ++step) {
    Product product;
    product.n = 16;
    product.accumulate = step > 0 || addsToInput;
    product.addA = product.addB = step * 2;
    product.input = step ? "%c" + std::to_string(step - 1) + "x" : "%z";
    product.output = step == 3 ? "%c" : "%c" + std::to_string(step) + "x";
    text += product.text();
  }
  return text;
}

std::vector<float> runChain(const std::string &body, LaunchResult &result, const char *output = "%w",
                            Options options = inMode(Mode::Eager)) {
  return runWgmma(wgmmaKernel(tileBytes, body, 8, output), chainA(), chainB(), {}, 8, result, options);
}

std::string kindsOf(const std::string &body, const char *output = "%w") {
  LaunchResult result;
  runChain(body, result, output);
  return kinds(result);
}

const std::string wait0 = tiedWait(0, 8, "%c", "%w");
/// %z0.. = 1
const std::string ones = repeated(8, "  %z# = fadd float 1.0, 0.0\n");

} // namespace

TEST(EmulatorWgmma, ChainsAccumulate) {
  for (Mode mode : {Mode::Eager, Mode::Random, Mode::Late}) {
    LaunchResult result;
    EXPECT_EQ(runChain(wgmmaFence + chain() + wgmmaCommit + wait0, result, "%w", inMode(mode)),
              expected(chainA(), chainB(), 64));
    EXPECT_EQ(texts(result), "");
    EXPECT_EQ(result.wgmmas, 4u);
  }
}

TEST(EmulatorWgmma, AddsToNumbers) {
  LaunchResult result;
  EXPECT_EQ(runChain(ones + wgmmaFence + chain(true) + wgmmaCommit + wait0, result),
            expected(chainA(), chainB(), 64, 1, 1));
  EXPECT_EQ(texts(result), "");
}

TEST(EmulatorWgmma, UntiedWaitIsEnoughForTheValue) {
  LaunchResult result;
  std::string wait = "  call void @llvm.nvvm.wgmma.wait_group.sync.aligned(i64 0)\n";
  EXPECT_EQ(runChain(wgmmaFence + chain() + wgmmaCommit + wait, result, "%c"), expected(chainA(), chainB(), 64));
  EXPECT_EQ(texts(result), "");
}

TEST(EmulatorWgmma, MissingFence) { EXPECT_EQ(kindsOf(chain() + wgmmaCommit + wait0), "MissingWgmmaFence"); }

TEST(EmulatorWgmma, RegistersWrittenAfterTheFence) {
  Product product;
  product.n = 16;
  product.accumulate = true;
  product.input = "%z";
  product.output = "%c";
  std::string late = repeated(8, "  %z# = fmul float %y, #.0\n"), number = "  %y = sitofp i32 $tid to float\n";
  EXPECT_EQ(kindsOf(number + wgmmaFence + late + product.text() + wgmmaCommit + wait0), "MissingWgmmaFence");
  EXPECT_EQ(kindsOf(number + late + wgmmaFence + product.text() + wgmmaCommit + wait0), "");
}

TEST(EmulatorWgmma, MissingCommit) {
  EXPECT_EQ(kindsOf(wgmmaFence + chain() + wait0), "MissingCommit OutstandingWork");
}

TEST(EmulatorWgmma, MissingWait) {
  EXPECT_EQ(kindsOf(wgmmaFence + chain() + wgmmaCommit, "%c"), "MissingWait OutstandingWork");
}

TEST(EmulatorWgmma, WaitThatLeavesTheGroupInFlight) {
  // wait_group 1 with one group waits for nothing.
  std::string wait1 = tiedWait(1, 8, "%c", "%w"), end = "  call void @llvm.nvvm.wgmma.wait_group.sync.aligned(i64 0)\n";
  std::string use = repeated(8, "  %u# = fadd float %w#, 0.0\n");
  EXPECT_EQ(kindsOf(wgmmaFence + chain() + wgmmaCommit + wait1 + use + end, "%u"), "MissingWait");
}

TEST(EmulatorWgmma, InFlightOverALoopIsFineUntilUsed) {
  // Accumulators stay in flight over the loop's phis behind wait_group 1, as in a pipelined GEMM; the wait after the
  // loop ends it.
  Product product;
  product.n = 16;
  product.accumulate = true;
  product.input = "%p";
  product.output = "%d";
  std::string phis = repeated(8, "  %p# = phi float [ %z#, %copied ], [ %v#, %next ]\n");
  std::string loop =
      ones + "  br label %next\nnext:\n" + phis + "  %n = phi i32 [ 0, %copied ], [ %m, %next ]\n" + wgmmaFence +
      product.text() + wgmmaCommit + tiedWait(1, 8, "%d", "%v") +
      "  %m = add i32 %n, 1\n  %again = icmp ult i32 %m, 3\n  br i1 %again, label %next, label %done\ndone:\n";
  LaunchResult result;
  std::vector<float> once = expected(chainA(), chainB(), 16), out = runChain(loop + tiedWait(0, 8, "%v", "%w"), result);
  EXPECT_EQ(texts(result), "");
  for (size_t i = 0; i < out.size(); ++i)
    EXPECT_EQ(out[i], 1 + 3 * once[i]);
  // Without it the phis' values are used in flight.
  EXPECT_EQ(kindsOf(loop, "%v"), "MissingWait OutstandingWork");
}

TEST(EmulatorWgmma, DescriptorsMustBeUniform) {
  std::string skew = "  %wide = zext i32 $lane to i64\n  %off = shl i64 %wide, 6\n  %skewed = add i64 %descB, %off\n";
  Product product;
  product.n = 16;
  product.b = "%skewed";
  product.output = "%c";
  EXPECT_NE(kindsOf(skew + wgmmaFence + product.text() + wgmmaCommit + wait0).find("NonUniformOperands"),
            std::string::npos);
}

TEST(EmulatorWgmma, DescriptorsAreChecked) {
  auto found = [&](uint64_t change) {
    Operand a = chainA();
    a.descriptor += change;
    LaunchResult result;
    runWgmma(wgmmaKernel(tileBytes, wgmmaFence + chain() + wgmmaCommit + wait0, 8, "%w"), a, chainB(), {}, 8, result);
    return kinds(result);
  };
  EXPECT_EQ(found(0), "");
  EXPECT_EQ(found(128 >> 4), "BadDescriptor");                 // starts in the second row of the pattern
  EXPECT_EQ(found(uint64_t(128 >> 4) << 32), "BadDescriptor"); // a stride that is no multiple of the pattern
  EXPECT_EQ(found(uint64_t(1) << 46), "BadDescriptor");        // a bit that must be zero
  EXPECT_EQ(found(uint64_t(1) << 49), "Unsupported");          // a base offset
  EXPECT_EQ(found((tileBytes * 2) >> 4), "OutOfBounds");
}

TEST(EmulatorWgmma, OperandsMustHaveBeenWritten) {
  LaunchResult result;
  runWgmma(wgmmaKernel(4096, wgmmaFence + chain() + wgmmaCommit + wait0, 8, "%w"), chainA(), chainB(), {}, 8, result);
  EXPECT_EQ(kinds(result), "UninitialisedRead");
}

TEST(EmulatorWgmma, OperandsNeedAProxyFenceAndABarrier) {
  std::string good = wgmmaKernel(tileBytes, wgmmaFence + chain() + wgmmaCommit + wait0, 8, "%w");
  auto without = [&](const char *line) {
    std::string text = good;
    size_t at = text.find(line);
    text.erase(at, text.find('\n', at) - at);
    LaunchResult result;
    runWgmma(text, chainA(), chainB(), {}, 8, result);
    return kinds(result);
  };
  EXPECT_EQ(without("call void @llvm.nvvm.fence.proxy.async"), "MissingProxyFence");
  std::string found = without("call void @llvm.nvvm.barrier.cta.sync");
  EXPECT_NE(found.find("DataRace"), std::string::npos) << found;
}

TEST(EmulatorWgmma, OperandsOverwrittenBeforeTheWait) {
  std::string overwrite = "  %first = icmp eq i32 $tid, 0\n  br i1 %first, label %bad, label %on\nbad:\n"
                          "  store i32 0, ptr addrspace(3) @bpt_shared\n  br label %on\non:\n";
  std::string meet = "  call void @llvm.nvvm.barrier.cta.sync.aligned.all(i32 0)\n";
  EXPECT_EQ(kindsOf(wgmmaFence + chain() + wgmmaCommit + meet + overwrite + wait0), "StageReusedEarly");
  EXPECT_EQ(kindsOf(wgmmaFence + chain() + wgmmaCommit + wait0 + meet + overwrite), "");
}

TEST(EmulatorWgmma, AThreadThatStaysAwayIsADeadlock) {
  std::string skip = "  %away = icmp eq i32 $tid, 77\n  br i1 %away, label %gone, label %on\ngone:\n  ret void\non:\n";
  LaunchResult result;
  runChain(skip + wgmmaFence + chain() + wgmmaCommit + wait0, result);
  EXPECT_EQ(kinds(result), "Deadlock");
  EXPECT_NE(texts(result).find("127 of 128 threads"), std::string::npos) << texts(result);
}

TEST(EmulatorWgmma, ThreadsInDifferentProducts) {
  Product product;
  product.n = 16;
  product.output = "%l";
  Product other = product;
  other.output = "%r";
  std::string body = wgmmaFence +
                     std::string("  %up = icmp ult i32 $tid, 64\n  br i1 %up, label %left, label %right\nleft:\n") +
                     product.text() + "  br label %join\nright:\n" + other.text() + "  br label %join\njoin:\n" +
                     repeated(8, "  %c# = phi float [ %l#, %left ], [ %r#, %right ]\n") + wgmmaCommit + wait0;
  EXPECT_EQ(kindsOf(body), "DivergentCollective");
}

TEST(EmulatorWgmma, ScaleOfTheAccumulatorAtRunTime) {
  for (int scale : {0, 1}) {
    std::string asmCall =
        "  %dall = call {float, float, float, float} asm sideeffect \"{ .reg .pred p; setp.ne.b32 p, $10, 0; "
        "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {$0,$1,$2,$3}, $8, $9, p, 1, 1, 0, 0; }\", "
        "\"=f,=f,=f,=f,0,1,2,3,l,l,r\"(float 5.0, float 5.0, float 5.0, float 5.0, i64 %descA, i64 %descB, i32 " +
        std::to_string(scale) + ")\n" + repeated(4, "  %d# = extractvalue {float, float, float, float} %dall, #\n");
    Operand b = makeOperand(8, 64, "bf16", Atom::B128, false, 9);
    LaunchResult result;
    std::vector<float> out =
        runWgmma(wgmmaKernel(tileBytes, wgmmaFence + asmCall + wgmmaCommit + tiedWait(0, 4, "%d", "%w"), 4, "%w"),
                 chainA(), b, {}, 4, result);
    EXPECT_EQ(texts(result), "");
    EXPECT_EQ(out, expected(chainA(), b, 16, 1, scale ? 5.0f : 0.0f));
  }
}
