// bpt-offload-activations: what the backward needs much later waits in host memory.
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/ViewLikeInterface.h"

namespace bpt {
#define GEN_PASS_DEF_OFFLOADACTIVATIONSPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

bool isView(Operation *op) {
  return isa<memref::CastOp, memref::ExpandShapeOp, memref::CollapseShapeOp, memref::SubViewOp>(op);
}

/// The function of the module that is called, and that is one block; null for another.
func::FuncOp getCallee(func::CallOp call, ModuleOp module) {
  auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
  return callee && callee.getBody().hasOneBlock() ? callee : func::FuncOp();
}

/// Where the memory of values comes from: allocations, also in functions that are called, and arguments of the values'
/// own function.
class Origins {
public:
  Origins(ModuleOp module, Value value) : module(module) { add(value); }

  bool contains(Value origin) const { return isUnknown || origins.contains(origin); }
  bool intersects(const Origins &other) const {
    return isUnknown || other.isUnknown ||
           llvm::any_of(origins, [&](Value origin) { return other.origins.contains(origin); });
  }
  /// Whether all of it was allocated by the function, or by those it calls.
  bool areAllocations() const { return !isUnknown && llvm::none_of(origins, llvm::IsaPred<BlockArgument>); }

private:
  void add(Value value) {
    if (!visited.insert(value).second)
      return;
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      Operation *parent = argument.getOwner()->getParentOp();
      auto loop = dyn_cast<scf::ForOp>(parent);
      if (isa<func::FuncOp>(parent))
        origins.insert(value);
      else if (OpOperand *init = loop ? loop.getTiedLoopInit(argument) : nullptr)
        addLoop(loop, init->getOperandNumber() - loop.getNumControlOperands());
      else
        isUnknown = true;
      return;
    }
    Operation *op = value.getDefiningOp();
    unsigned number = cast<OpResult>(value).getResultNumber();
    if (isa<memref::AllocOp>(op))
      origins.insert(value);
    else if (isView(op))
      add(op->getOperand(0));
    else if (auto loop = dyn_cast<scf::ForOp>(op))
      addLoop(loop, number);
    else if (auto call = dyn_cast<func::CallOp>(op))
      addCall(call, number);
    else
      isUnknown = true;
  }

  void addLoop(scf::ForOp loop, unsigned number) {
    add(loop.getInitArgs()[number]);
    add(loop.getBody()->getTerminator()->getOperand(number));
  }

  void addCall(func::CallOp call, unsigned number) {
    func::FuncOp callee = getCallee(call, module);
    if (!callee) {
      isUnknown = true;
      return;
    }
    Origins inner(module, callee.getBody().front().getTerminator()->getOperand(number));
    isUnknown |= inner.isUnknown;
    for (Value origin : inner.origins)
      if (auto argument = dyn_cast<BlockArgument>(origin))
        add(call.getOperand(argument.getArgNumber()));
      else
        origins.insert(origin);
  }

  ModuleOp module;
  DenseSet<Value> origins, visited;
  bool isUnknown = false;
};

/// A buffer of a block, and the longest time in which no op of the block uses it.
struct Rest {
  Value buffer;
  Operation *lastBefore = nullptr, *firstAfter = nullptr; ///< uses
  SmallVector<Operation *> layers;                        ///< calls in between, in order
};

/// Copies of the buffers of one block of an entry.
class BlockOffload {
public:
  BlockOffload(Block &block, ModuleOp module, int64_t leastBytes)
      : block(block), module(module), leastBytes(leastBytes) {}

  int64_t run() {
    int64_t count = 0;
    for (Operation &op : block) {
      positions[&op] = count++;
      auto call = dyn_cast<func::CallOp>(op);
      if (call && getCallee(call, module))
        layers.push_back(call);
    }
    SmallVector<Rest> rests;
    for (Operation &op : block)
      for (OpResult result : op.getResults())
        if (!isView(&op) && isWorthACopy(result) && isOwn(result))
          if (FailureOr<Rest> rest = findRest(result); succeeded(rest))
            rests.push_back(*rest);
    for (const Rest &rest : rests)
      offload(rest);
    return rests.size();
  }

private:
  bool isWorthACopy(Value value) const {
    auto type = dyn_cast<MemRefType>(value.getType());
    if (!type || !type.getLayout().isIdentity() || !type.getElementType().isIntOrFloat() || value.use_empty())
      return false;
    return !type.hasStaticShape() || type.getNumElements() * type.getElementTypeBitWidth() >= 8 * leastBytes;
  }

  /// The ops of the block that use `buffer` itself or by a view. Fails where it becomes somebody else's: results and
  /// loops may then be the same memory under another name.
  FailureOr<SmallVector<Operation *>> findUsers(Value buffer) {
    SmallVector<Operation *> users;
    SmallVector<Value> names{buffer};
    while (!names.empty())
      for (OpOperand &use : names.pop_back_val().getUses()) {
        Operation *user = use.getOwner();
        if (isa<memref::DimOp>(user))
          continue;
        if (isView(user) && user->getBlock() == &block) {
          names.push_back(user->getResult(0));
          continue;
        }
        if (isa<ViewLikeOpInterface, scf::ForOp>(user) || user->hasTrait<OpTrait::IsTerminator>())
          return failure();
        if (auto call = dyn_cast<func::CallOp>(user))
          if (mayReturn(call, use.getOperandNumber()))
            return failure();
        users.push_back(block.findAncestorOpInBlock(*user));
      }
    return users;
  }

  /// Whether a result of `call` may be its argument `number` again.
  bool mayReturn(func::CallOp call, unsigned number) {
    func::FuncOp callee = getCallee(call, module);
    if (!callee)
      return true;
    return llvm::any_of(callee.getBody().front().getTerminator()->getOperands(), [&](Value result) {
      return isa<MemRefType>(result.getType()) && Origins(module, result).contains(callee.getArgument(number));
    });
  }

  /// Whether `value` is memory that only it is a name of, but for views.
  bool isOwn(OpResult value) {
    Origins origins(module, value);
    return origins.areAllocations() && llvm::none_of(value.getOwner()->getResults(), [&](OpResult other) {
             return other != value && isa<MemRefType>(other.getType()) && origins.intersects(Origins(module, other));
           });
  }

  FailureOr<Rest> findRest(Value buffer) {
    FailureOr<SmallVector<Operation *>> users = findUsers(buffer);
    if (failed(users) || users->size() < 2)
      return failure();
    llvm::sort(*users, [&](Operation *a, Operation *b) { return positions.lookup(a) < positions.lookup(b); });
    Rest longest;
    for (size_t i = 1; i < users->size(); ++i) {
      Rest rest{buffer, (*users)[i - 1], (*users)[i], {}};
      for (Operation *layer : layers)
        if (positions.lookup(layer) > positions.lookup(rest.lastBefore) &&
            positions.lookup(layer) < positions.lookup(rest.firstAfter))
          rest.layers.push_back(layer);
      if (rest.layers.size() > longest.layers.size())
        longest = std::move(rest);
    }
    // One layer hides the copy out, one the copy in; what is gained lies in between.
    return longest.layers.size() >= 3 ? FailureOr<Rest>(longest) : FailureOr<Rest>(failure());
  }

  void offload(const Rest &rest) {
    Location loc = rest.buffer.getLoc();
    OpBuilder builder(&block, std::next(Block::iterator(rest.lastBefore)));
    Value host = allocate(builder, rest.buffer, rest.buffer);
    host.getDefiningOp()->setAttr("bpt.host", builder.getUnitAttr());
    Value copied = copy(builder, loc, rest.buffer, host);
    builder.setInsertionPointAfter(rest.layers.front());
    gpu::WaitOp::create(builder, loc, Type(), copied);

    builder.setInsertionPoint(rest.layers.back());
    Value again = allocate(builder, rest.buffer, host);
    Value fetched = copy(builder, loc, host, again);
    builder.setInsertionPoint(rest.firstAfter);
    gpu::WaitOp::create(builder, loc, Type(), fetched);
    replaceAfter(rest, again, builder);
  }

  /// A buffer like `buffer`, of the sizes of `sized`.
  static Value allocate(OpBuilder &builder, Value buffer, Value sized) {
    auto type = cast<MemRefType>(buffer.getType());
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        sizes.push_back(memref::DimOp::create(builder, buffer.getLoc(), sized, i));
    return memref::AllocOp::create(builder, buffer.getLoc(), type, sizes, builder.getI64IntegerAttr(64));
  }

  static Value copy(OpBuilder &builder, Location loc, Value from, Value to) {
    Type token = gpu::AsyncTokenType::get(builder.getContext());
    return gpu::MemcpyOp::create(builder, loc, token, ValueRange(), to, from).getAsyncToken();
  }

  /// Uses from rest.firstAfter on are of `again`; `builder` stands before them.
  void replaceAfter(const Rest &rest, Value again, OpBuilder &builder) {
    int64_t from = positions.lookup(rest.firstAfter);
    auto isLate = [&](Operation *op) {
      auto position = positions.find(block.findAncestorOpInBlock(*op));
      return position != positions.end() && position->second >= from; // the copies themselves have none
    };
    SmallVector<std::pair<Value, Value>> names{{rest.buffer, again}};
    while (!names.empty()) {
      auto [old, replacement] = names.pop_back_val();
      for (OpOperand &use : llvm::make_early_inc_range(old.getUses())) {
        Operation *user = use.getOwner();
        if (isLate(user)) {
          use.set(replacement);
        } else if (isView(user) && positions.contains(user)) {
          IRMapping mapping;
          mapping.map(old, replacement);
          names.push_back({user->getResult(0), builder.clone(*user, mapping)->getResult(0)});
        }
      }
    }
  }

  Block &block;
  ModuleOp module;
  int64_t leastBytes;
  DenseMap<Operation *, int64_t> positions; ///< of the ops that were there before the copies
  SmallVector<Operation *> layers;
};

class OffloadActivations : public impl::OffloadActivationsPassBase<OffloadActivations> {
  using Base::Base;
  void runOnOperation() override {
    ModuleOp module = getOperation();
    for (auto entry : module.getOps<func::FuncOp>()) {
      if (!entry.isPublic() || entry.isExternal())
        continue;
      SmallVector<Block *> blocks;
      entry.walk([&](Block *block) { blocks.push_back(block); });
      int64_t count = 0;
      for (Block *block : blocks)
        count += BlockOffload(*block, module, leastBytes).run();
      entry.emitRemark() << count << " buffers wait in host memory";
    }
  }
};

} // namespace
} // namespace bpt
