// What the Hopper kernels should reach (bpt/Analysis/HopperModel.h): one JSON object a line.
//
//   bpt-hopper-model
#include "bpt/Analysis/HopperModel.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

static constexpr int64_t length = 16384, heads = 16, size = 8192;

static std::string getGraph(bool isGradient, bool causal) {
  std::string mask = causal ? "#bpt.causal" : "#bpt.full", x = "memref<1x16384x16x128xbf16>",
              l = "memref<1x16x16384xf32>";
  std::string op =
      isGradient ? llvm::formatv("bpt.attention_grad {{mask = {2}, scale = 0.1 : f64} cotangent(%x : {0}) "
                                 "ins(%x, %x, %x, %x, %l : {0}, {0}, {0}, {0}, {1}) outs(%x, %x, %x : {0}, {0}, {0}) "
                                 "workspace(%w : memref<?xi8>)",
                                 x, l, mask)
                       .str()
                 : llvm::formatv("bpt.attention {{mask = {2}, scale = 0.1 : f64} ins(%x, %x, %x : {0}, {0}, {0}) "
                                 "outs(%x, %l : {0}, {1})",
                                 x, l, mask)
                       .str();
  return "func.func @f(%x: " + x + ", %l: " + l + ", %w: memref<?xi8>) {\n" + op + "\nreturn\n}\n";
}

static void print(StringRef work, StringRef shape, int64_t rows, int64_t columns,
                  const bpt::HopperPrediction &prediction) {
  const bpt::HopperStepCycles &step = prediction.step;
  llvm::outs() << llvm::formatv(
      "{{\"work\":\"{0}\",\"shape\":\"{1}\",\"tile\":\"{2}x{3}\",\"teraflops\":{4:f1},\"seconds\":{5:e6},"
      "\"cycles\":{{\"step\":{6:f0},\"tensor\":{7:f0},\"exponentials\":{8:f0},\"lanes\":{9:f0},\"shared\":{10:f0},"
      "\"l2\":{11:f0},\"edge\":{12:f0}},\"bound\":\"{13}\",\"use\":{14:f3}}\n",
      work, shape, rows, columns, prediction.teraflops, prediction.seconds, step.total, step.tensor, step.exponentials,
      step.lanes, step.sharedReads + step.sharedWrites, step.l2, step.edge,
      prediction.powerSeconds > prediction.cyclesSeconds ? "power" : "cycles", prediction.use);
}

template <typename Op> static bool predictOp(MLIRContext &context, bool causal) {
  constexpr bool isGradient = std::is_same_v<Op, bpt::AttentionGradOp>;
  auto module = parseSourceString<ModuleOp>(getGraph(isGradient, causal), &context);
  if (!module)
    return false;
  bool done = false;
  module->walk([&](Op op) {
    FailureOr<bpt::HopperAttentionTiles> tiles = bpt::HopperAttentionTiles::get(op);
    if (failed(tiles))
      return;
    print(isGradient ? "attention backward" : "attention forward",
          causal ? "B1 H16 S16384 D128 causal" : "B1 H16 S16384 D128 full", tiles->queryBlock, tiles->keyBlock,
          predictAttention(*tiles, isGradient, causal, length, heads));
    done = true;
  });
  return done;
}

int main() {
  MLIRContext context(MLIRContext::Threading::DISABLED);
  context.loadDialect<bpt::BPTDialect, func::FuncDialect, memref::MemRefDialect>();
  for (bool causal : {false, true})
    if (!predictOp<bpt::AttentionOp>(context, causal) || !predictOp<bpt::AttentionGradOp>(context, causal))
      return 1;
  bpt::HopperGemmShape shape;
  shape.rows = shape.columns = size;
  bpt::HopperGemmTiles tiles = bpt::HopperGemmTiles::get(shape);
  print("GEMM", "8192x8192x8192", tiles.rows, tiles.columns, predictGemm(tiles, size, size, size));
  return 0;
}
