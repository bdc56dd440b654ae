// bpt.attention_grad as three launches: statistics of rows, the main kernel, dquery.
#include "AttentionGradient.h"
#include "AttentionGradientRows.h"
#include "Lowerings.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
/// The workspace of one op, as views.
struct Workspace {
  Value lse, delta; ///< [rows] f32
  Value querySums;  ///< [B * H, S, paddedDim] f32
  Value biasSums;   ///< of the shape of the bias, f32; null without one
};

class GradientLaunches {
public:
  GradientLaunches(AttentionGradOp op, KernelLibrary &kernels, const HopperAttentionTiles &tiles)
      : op(op), kernels(kernels), tiles(tiles), spec(AttentionSpec::get(op)), host(op) {
    batch = host.dim(op.getQuery(), 0);
    queries = host.dim(op.getQuery(), 1);
    planes = host.mul(batch, host.index(spec.heads));
    paddedQueries = host.mul(host.ceilDiv(queries, tiles.queryBlock), host.index(tiles.queryBlock));
  }

  void emit() {
    takeWorkspace();
    prepareRows();
    if (op.getBias())
      clearBias();
    launchMain();
    finishQuery();
    if (op.getBias())
      finishBias();
  }

private:
  Value add(Value a, Value b) { return host.b.createOrFold<arith::AddIOp>(a, b); }

  /// The sections of HopperAttentionGradWorkspace.
  void takeWorkspace() {
    Value offset = host.index(0), rows = host.mul(planes, paddedQueries);
    auto take = [&](ArrayRef<int64_t> shape, ValueRange sizes, Value bytes) {
      auto type = MemRefType::get(shape, host.b.getF32Type());
      Value view = memref::ViewOp::create(host.b, type, op.getWorkspace(), offset, sizes);
      offset = add(offset, host.mul(host.ceilDiv(bytes, 64), host.index(64)));
      return view;
    };
    Value rowBytes = host.mul(rows, host.index(4));
    int64_t any = ShapedType::kDynamic;
    workspace.lse = take({any}, rows, rowBytes);
    workspace.delta = take({any}, rows, rowBytes);
    workspace.querySums = take({any, any, tiles.paddedDim}, {planes, queries},
                               host.mul(host.mul(planes, queries), host.index(tiles.paddedDim * 4)));
    if (!op.getBias())
      return;
    SmallVector<Value> sizes;
    auto type = cast<MemRefType>(op.getBias().getType());
    biasCount = host.index(1);
    for (int64_t dim = 0; dim < 4; ++dim) {
      Value size = host.dim(op.getBias(), dim);
      biasCount = host.mul(biasCount, size);
      if (type.isDynamicDim(dim))
        sizes.push_back(size);
    }
    workspace.biasSums = take(type.getShape(), sizes, host.mul(biasCount, host.index(4)));
  }

  RowSizes addRowSizes(LaunchArguments &launch) {
    RowSizes sizes{spec.heads, spec.headDim, tiles.paddedDim, tiles.queryBlock, 0, 0};
    sizes.batch = launch.addI32(batch);
    sizes.queries = launch.addI32(queries);
    return sizes;
  }

  LaunchShape getRowShape(Value rowsOfPlane) {
    Value one = host.index(1), blocks = host.ceilDiv(host.mul(planes, rowsOfPlane), rowKernelThreads / warpThreads);
    return {{blocks, one, one}, rowKernelThreads, 0};
  }

  std::string getRowKey() const {
    std::string key;
    llvm::raw_string_ostream stream(key);
    stream << spec.element << " " << spec.heads << "x" << spec.headDim << " " << tiles.queryBlock;
    return key;
  }

  void prepareRows() {
    LaunchArguments launch(op);
    PrepareArguments arguments;
    arguments.dout = launch.addStrided(op.getDout());
    arguments.out = launch.addStrided(op.getOut());
    arguments.lse = launch.addStrided(op.getLse());
    if (op.getDlse())
      arguments.dlse = launch.addStrided(op.getDlse());
    arguments.negatedLse = launch.addPointer(workspace.lse);
    arguments.negatedDelta = launch.addPointer(workspace.delta);
    arguments.querySums = launch.addPointer(workspace.querySums);
    RowSizes sizes = addRowSizes(launch);
    kernels.launch("attention_grad_rows", getRowKey(), launch, getRowShape(paddedQueries),
                   [&](KernelBuilder &e) { emitPrepareRows(e, sizes, arguments, spec.element); });
  }

  void launchMain() {
    LaunchArguments launch(op);
    GradientArguments arguments;
    arguments.query = launch.addTensorMap(op.getQuery(), {1, tiles.queryBlock, 1, 64});
    arguments.key = launch.addTensorMap(op.getKey(), {1, tiles.keyBlock, 1, 64});
    arguments.value = launch.addTensorMap(op.getValue(), {1, tiles.keyBlock, 1, 64});
    arguments.dout = launch.addTensorMap(op.getDout(), {1, tiles.queryBlock, 1, 64});
    arguments.querySums = launch.addTensorMap(workspace.querySums, {1, 64, 32});
    arguments.lse = launch.addPointer(workspace.lse);
    arguments.delta = launch.addPointer(workspace.delta);
    arguments.dkey = launch.addStrided(op.getOuts()[1]);
    arguments.dvalue = launch.addStrided(op.getOuts()[2]);
    if (op.getBias())
      arguments.biasSums = launch.addStrided(workspace.biasSums);
    arguments.dkeyElement = getElementTypeOrSelf(op.getOuts()[1].getType());
    arguments.dvalueElement = getElementTypeOrSelf(op.getOuts()[2].getType());
    arguments.scores = AttentionArguments::add(launch, op);
    std::string key = spec.key;
    llvm::raw_string_ostream(key) << " " << arguments.dkeyElement << " " << arguments.dvalueElement;
    Value rows = host.ceilDiv(host.dim(op.getKey(), 1), tiles.keyBlock), zero = host.index(0), one = host.index(1);
    if (!tiles.isDeterministic)
      return launchRows(launch, arguments, key, zero, rows);
    // One block of keys of every plane at a time: no two blocks of a launch add to the same rows of dquery.
    auto loop = scf::ForOp::create(launch.b, zero, rows, one);
    launch.b.setInsertionPointToStart(loop.getBody());
    launchRows(launch, arguments, key, loop.getInductionVar(), one);
  }

  void launchRows(LaunchArguments &launch, GradientArguments &arguments, StringRef key, Value firstRow, Value rows) {
    arguments.firstRow = launch.addI32(firstRow);
    arguments.rows = launch.addI32(rows);
    Value one = launch.index(1), blocks = launch.mul(rows, launch.mul(batch, launch.index(spec.groups)));
    LaunchShape shape{{blocks, one, one}, tiles.roles.getThreads(), tiles.layout.getBytes()};
    kernels.launch("attention_grad", key, launch, shape, [&](KernelBuilder &e) {
      auto create = tiles.splitsDim ? createSplitGradient : createNarrowGradient;
      create(e, spec, tiles, arguments)->emit();
    });
  }

  void finishQuery() {
    LaunchArguments launch(op);
    unsigned sums = launch.addPointer(workspace.querySums);
    StridedArgument dquery = launch.addStrided(op.getOuts()[0]);
    Type element = getElementTypeOrSelf(op.getOuts()[0].getType());
    RowSizes sizes = addRowSizes(launch);
    std::string key = getRowKey();
    llvm::raw_string_ostream(key) << " " << element << " " << spec.scale;
    kernels.launch("attention_grad_query", key, launch, getRowShape(queries),
                   [&](KernelBuilder &e) { emitFinishQuery(e, sizes, sums, dquery, element, spec.scale); });
  }

  LaunchShape getElementShape() {
    Value one = host.index(1), blocks = host.ceilDiv(biasCount, elementThreads);
    blocks = host.min(blocks, host.index(16 * HopperLimits::multiprocessors));
    return {{blocks, one, one}, elementThreads, 0};
  }

  void clearBias() {
    LaunchArguments launch(op);
    unsigned sums = launch.addPointer(workspace.biasSums), count = launch.addI32(biasCount);
    kernels.launch("fill_zero", "", launch, getElementShape(), [&](KernelBuilder &e) { emitFillZero(e, sums, count); });
  }

  void finishBias() {
    LaunchArguments launch(op);
    unsigned sums = launch.addPointer(workspace.biasSums);
    StridedArgument dbias = launch.addStrided(op.getOuts()[3]);
    std::array<unsigned, 4> sizes;
    for (int64_t dim = 0; dim < 4; ++dim)
      sizes[dim] = launch.addI32(host.dim(op.getBias(), dim));
    Type element = getElementTypeOrSelf(op.getOuts()[3].getType());
    std::string key;
    llvm::raw_string_ostream(key) << element;
    kernels.launch("attention_grad_bias", key, launch, getElementShape(),
                   [&](KernelBuilder &e) { emitAddSums(e, sums, dbias, sizes, element); });
  }

  AttentionGradOp op;
  KernelLibrary &kernels;
  const HopperAttentionTiles &tiles;
  AttentionSpec spec;
  LaunchArguments host;
  Value batch, queries, planes, paddedQueries, biasCount;
  Workspace workspace;
};
} // namespace

LogicalResult lowerAttentionGrad(AttentionGradOp op, KernelLibrary &kernels) {
  if (!op.getWorkspace())
    return op.emitOpError("expected a workspace of getHopperWorkspaceBytes; add it before bufferization");
  FailureOr<HopperAttentionTiles> tiles = HopperAttentionTiles::get(op);
  if (failed(tiles))
    return failure();
  GradientLaunches(op, kernels, *tiles).emit();
  op->erase();
  return success();
}

} // namespace bpt::hopper
