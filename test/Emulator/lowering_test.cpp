// What the rewrite refuses, and what it makes of instructions that only compute.
#include "Harness.h"
#include <cmath>
#include <cstring>
#include <gtest/gtest.h>

using namespace bpt;
using namespace bpt::test;

static void expectError(const std::string &body, std::initializer_list<const char *> parts) {
  std::string error = errorOf(kernelText("ptr %out", body + "  ret void\n"));
  for (const char *part : parts)
    EXPECT_NE(error.find(part), std::string::npos) << "'" << part << "' is not in: " << error;
}

TEST(EmulatorLowering, UnknownIntrinsicIsNamedWithItsFunction) {
  expectError("  call void @llvm.nvvm.barrier.cluster.arrive()\n", {"llvm.nvvm.barrier.cluster.arrive", "'kernel'"});
  expectError("  %m = call i32 @llvm.nvvm.activemask()\n", {"llvm.nvvm.activemask", "member mask"});
}

TEST(EmulatorLowering, UnknownPTXIsNamedWithItsFunction) {
  expectError("  call void asm sideeffect \"frobnicate.b32 $0;\", \"r\"(i32 $tid)\n", {"frobnicate.b32", "'kernel'"});
  expectError("  call void asm sideeffect \"barrier.cluster.arrive;\", \"\"()\n",
              {"barrier.cluster.arrive", "clusters"});
}

TEST(EmulatorLowering, OperandNumbersMustExist) {
  expectError("  call void asm sideeffect \"bar.sync $1;\", \"r\"(i32 $tid)\n", {"bar.sync", "not known"});
  expectError("  call void asm sideeffect \"mov.b32 $0, 1;\", \"r\"(i32 $tid)\n", {"mov.b32", "no output"});
  expectError("  call void asm sideeffect \"bra NOWHERE;\", \"\"()\n", {"NOWHERE"});
}

TEST(EmulatorLowering, WgmmaOperandsAreCounted) {
  // m64n16 has 8 accumulator registers, not 4.
  expectError("  %r = call { float, float, float, float } asm sideeffect "
              "\"wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 "
              "{$0,$1,$2,$3}, $4, $5, 0, 1, 1, 0, 0;\", \"=f,=f,=f,=f,l,l\"(i64 0, i64 0)\n",
              {"expected 8 accumulator registers"});
  expectError(
      "  %r = call { float, float, float, float } asm sideeffect \"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 "
      "{$0,$1,$2,$3}, $4, $5, 1, 1, 1, 0, 0;\", \"=f,=f,=f,=f,l,l\"(i64 0, i64 0)\n",
      {"not tied"});
  expectError(
      "  %r = call { float, float, float, float } asm sideeffect \"wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 "
      "{$0,$1,$2,$3}, $4, $5, 0, 1, 1, 0;\", \"=f,=f,=f,=f,l,l\"(i64 0, i64 0)\n",
      {"expected 8 operands, but got 7"});
}

TEST(EmulatorLowering, StaticSharedMemoryIsRefused) {
  std::string error =
      errorOf("@tile = internal addrspace(3) global [4 x i32] poison\n"
              "define ptx_kernel void @kernel() {\n  store i32 1, ptr addrspace(3) @tile\n  ret void\n}\n");
  EXPECT_NE(error.find("'tile'"), std::string::npos) << error;
}

TEST(EmulatorLowering, ClustersAreRefused) {
  std::string error = errorOf("define ptx_kernel void @kernel() \"nvvm.cluster_dim\"=\"2\" {\n  ret void\n}\n");
  EXPECT_NE(error.find("kernel 'kernel' asks for a cluster"), std::string::npos) << error;
}

TEST(EmulatorLowering, TheSharedArrayMayHaveAnyName) {
  Kernel kernel("@anything = external addrspace(3) global [0 x i8], align 1024\n"
                "define ptx_kernel void @kernel(ptr %out) {\n"
                "  store i32 7, ptr addrspace(3) getelementptr (i8, ptr addrspace(3) @anything, i64 12)\n"
                "  %v = load i32, ptr addrspacecast (ptr addrspace(3) getelementptr (i8, ptr addrspace(3) @anything, "
                "i64 12) to ptr)\n"
                "  store i32 %v, ptr %out\n  ret void\n}\n");
  int out = 0;
  void *pointer = &out;
  EXPECT_EQ(texts(kernel.run({&pointer}, 1, 64)), "");
  EXPECT_EQ(out, 7);
}

TEST(EmulatorLowering, ReportsNameDebugLocations) {
  Kernel kernel(
      "@bpt_shared = external addrspace(3) global [0 x i8], align 1024\n"
      "define ptx_kernel void @kernel() !dbg !3 {\n"
      "  %v = load volatile i32, ptr addrspace(3) @bpt_shared, !dbg !6\n"
      "  call void asm sideeffect \"bar.sync 77;\", \"\"(), !dbg !7\n  ret void\n}\n"
      "!llvm.dbg.cu = !{!0}\n!llvm.module.flags = !{!2}\n"
      "!0 = distinct !DICompileUnit(language: DW_LANG_C, file: !1, emissionKind: FullDebug)\n"
      "!1 = !DIFile(filename: \"tile.mlir\", directory: \"\")\n!2 = !{i32 2, !\"Debug Info Version\", i32 3}\n"
      "!3 = distinct !DISubprogram(name: \"kernel\", scope: !1, file: !1, line: 1, type: !4, unit: !0, "
      "spFlags: DISPFlagDefinition)\n"
      "!4 = !DISubroutineType(types: !5)\n!5 = !{null}\n"
      "!6 = !DILocation(line: 12, column: 3, scope: !3)\n!7 = !DILocation(line: 13, column: 5, scope: !3)\n");
  emulator::LaunchResult result = kernel.run({}, 1, 64);
  ASSERT_EQ(result.reports.size(), 2u);
  EXPECT_EQ(result.reports[0].location.rfind("tile.mlir:12:3: kernel: load", 0), 0u) << texts(result);
  EXPECT_EQ(result.reports[1].location.rfind("tile.mlir:13:5: kernel: bar.sync", 0), 0u) << texts(result);
}

/// Runs `body`, which stores to %out, in one thread.
template <typename T>
static T single(const std::string &parameters, const std::string &body, std::vector<void *> arguments) {
  Kernel kernel(kernelText("ptr %out" + parameters, body + "  ret void\n"));
  T out{};
  void *pointer = &out;
  arguments.insert(arguments.begin(), &pointer);
  EXPECT_EQ(texts(kernel.run(arguments, 1)), "");
  return out;
}

TEST(EmulatorLowering, BFloatIsRoundedToNearestEven) {
  struct {
    uint32_t bits;
    uint16_t expected;
  } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82},
               {0x3f808001, 0x3f81}, {0x7f7fffff, 0x7f80}, {0x7f800000, 0x7f80},
               {0xff800000, 0xff80}, {0x7fc00001, 0x7fff}, {0x80000000, 0x8000}};
  for (auto &c : cases) {
    float value;
    memcpy(&value, &c.bits, 4);
    EXPECT_EQ(
        single<uint16_t>(", float %x", "  %b = fptrunc float %x to bfloat\n  store bfloat %b, ptr %out\n", {&value}),
        c.expected)
        << std::hex << c.bits;
    float one = 1;
    std::string packed =
        "  %b = call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float %x, float %y)\n  store <2 x bfloat> %b, ptr %out\n";
    EXPECT_EQ(single<uint32_t>(", float %x, float %y", packed, {&value, &one}), uint32_t(c.expected) << 16 | 0x3f80);
    std::string inPTX = "  %b = call i32 asm \"cvt.rn.bf16x2.f32 $0, $1, $2;\", \"=r,f,f\"(float %x, float %y)\n  "
                        "store i32 %b, ptr %out\n";
    EXPECT_EQ(single<uint32_t>(", float %x, float %y", inPTX, {&value, &one}), uint32_t(c.expected) << 16 | 0x3f80);
  }
  float a = 1.0f, b = 0.00390625f; // 1 + 2^-8 is halfway: to even
  EXPECT_EQ(single<uint16_t>(
                ", float %x, float %y",
                "  %a = fptrunc float %x to bfloat\n  %b = fptrunc float %y to bfloat\n  %s = fadd bfloat %a, %b\n"
                "  store bfloat %s, ptr %out\n",
                {&a, &b}),
            0x3f80);
}

TEST(EmulatorLowering, HalfsArePackedHighFirst) {
  float high = 2.0f, low = -1.0f;
  std::string body =
      "  %b = call <2 x half> @llvm.nvvm.ff2f16x2.rn(float %x, float %y)\n  store <2 x half> %b, ptr %out\n";
  EXPECT_EQ(single<uint32_t>(", float %x, float %y", body, {&high, &low}), 0x4000bc00u);
}

TEST(EmulatorLowering, MathIntrinsics) {
  float x = 3.0f, y = -2.0f, z = 0.5f;
  auto one = [&](const char *call) {
    return single<float>(", float %x, float %y, float %z",
                         std::string("  %r = call float ") + call + "\n  store float %r, ptr %out\n", {&x, &y, &z});
  };
  EXPECT_EQ(one("@llvm.nvvm.ex2.approx.ftz.f32(float %x)"), 8.0f);
  EXPECT_EQ(one("@llvm.nvvm.lg2.approx.f(float %z)"), -1.0f);
  EXPECT_EQ(one("@llvm.nvvm.fma.rn.f(float %x, float %y, float %z)"), -5.5f);
  EXPECT_EQ(one("@llvm.nvvm.fmax.f(float %x, float %y)"), 3.0f);
  EXPECT_EQ(one("@llvm.nvvm.fmin.ftz.f(float %x, float %y)"), -2.0f);
  EXPECT_EQ(one("@llvm.nvvm.rcp.approx.ftz.f(float %y)"), -0.5f);
  EXPECT_EQ(one("@llvm.exp2.f32(float %y)"), 0.25f);
  EXPECT_EQ(one("@llvm.maxnum.f32(float %z, float 0x7FF8000000000000)"), 0.5f);
}

TEST(EmulatorLowering, PTXArithmeticAndBranches) {
  // 10 * 3 + 4 by a loop of additions, in one text with a scope, a predicate and a label.
  std::string body =
      "  %r = call i32 asm sideeffect \"{ .reg .pred p; .reg .b32 i, s; mov.u32 i, 0; mov.u32 s, $2; "
      "AGAIN: add.s32 s, s, $1; add.s32 i, i, 1; setp.lt.s32 p, i, 3; @p bra AGAIN; mov.b32 $0, s; }\", \"=r,r,n\""
      "(i32 %n, i32 4)\n  store i32 %r, ptr %out\n";
  int n = 10;
  EXPECT_EQ(single<int>(", i32 %n", body, {&n}), 34);
  std::string shifts =
      "  %r = call i32 asm \"{ .reg .b32 t; shl.b32 t, $1, 4; shr.s32 t, t, 40; xor.b32 $0, t, 0xF; }\", \"=r,r\"(i32 "
      "%n)\n  store i32 %r, ptr %out\n";
  EXPECT_EQ(single<int>(", i32 %n", shifts, {&n}), 15);
}

TEST(EmulatorLowering, PredicatedOffIsNotDone) {
  std::string body =
      "  call void asm sideeffect \"{ .reg .pred p; setp.ne.b32 p, $1, 0; @p st.global.b32 [$0], 5; @!p st.global.b32 "
      "[$0+4], 6; }\", \"l,r\"(ptr %out, i32 %n)\n";
  struct Pair {
    int a, b;
  };
  int n = 0;
  Pair pair = single<Pair>(", i32 %n", body, {&n});
  EXPECT_EQ(pair.a, 0);
  EXPECT_EQ(pair.b, 6);
}
