// Head groups: attention as a sum over groups of heads, each with its own keys and values.
//
// The product that follows attention sums over its heads. For the heads of a group it is added to the sum of the groups
// before, so that a group is {projections of its queries, keys and values, attention, its share of the product}: a
// checkpoint of its own.
#include "FormBlocks.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace bpt {
namespace {

/// Attention and the product over its heads, perhaps behind a reshape that makes [B,S,H,D] to [B,S,H*D].
struct HeadSum {
  AttentionOp attention;
  tensor::CollapseShapeOp merged;
  linalg::LinalgOp product;
  unsigned operand = 0; ///< of `product`: the one that is attention's out, with the heads in dim 2
  int64_t perHead = 1;  ///< elements of that dim for each head
};

class HeadSplitter {
public:
  HeadSplitter(CheckpointOp layer, const llvm::SmallBitVector &activations, int64_t heads, std::string &why)
      : body(layer.getBody().front()), activations(activations), heads(heads), why(why) {}

  /// Replaces the sum of `attention` by one in groups, each in a checkpoint that `groups` gets.
  LogicalResult split(AttentionOp attention, SmallVectorImpl<HeadGroup> &groups) {
    HeadSum sum;
    sum.attention = attention;
    if (failed(findSum(sum)))
      return failure();
    int64_t keys = getHeads(attention.getKey());
    if (keys <= heads)
      return success();
    OpBuilder builder(sum.product);
    SmallVector<Value> partials{sum.product.getDpsInitOperand(0)->get()};
    for (int64_t first = 0; first < keys; first += heads)
      partials.push_back(createGroup(builder, sum, first, std::min(heads, keys - first), partials.back()));
    sum.product->getResult(0).replaceAllUsesWith(partials.back());
    DenseSet<Value> active = findActivations(body, activations);
    for (unsigned i = 1; i < partials.size(); ++i) {
      FoundLayer group = collect(attention, partials[i], partials[i - 1], active);
      groups.push_back({createCheckpoint(group, Keep::Input), group.activations});
      partials[i] = groups.back().checkpoint.getResult(0);
    }
    sortByDataFlow(body);
    return success();
  }

private:
  LogicalResult fail(const Twine &text) {
    why = text.str();
    return failure();
  }

  static int64_t getHeads(Value value) { return cast<RankedTensorType>(value.getType()).getDimSize(2); }

  LogicalResult findSum(HeadSum &sum) {
    AttentionOp attention = sum.attention;
    if (ShapedType::isDynamic(getHeads(attention.getQuery())) || ShapedType::isDynamic(getHeads(attention.getKey())))
      return fail("its number of heads is not known");
    for (Value result : attention->getResults().drop_front())
      if (!result.use_empty())
        return fail("more than the out of attention is used");
    Value out = attention->getResult(0);
    if (!out.hasOneUse())
      return fail("the out of attention does not have one use");
    sum.merged = dyn_cast<tensor::CollapseShapeOp>(*out.user_begin());
    if (sum.merged) {
      SmallVector<ReassociationIndices> dims = sum.merged.getReassociationIndices();
      if (dims.size() != 3 || dims.back() != ReassociationIndices{2, 3})
        return fail("the out of attention is reshaped in another way than to [B,S,H*D]");
      out = sum.merged.getResult();
      sum.perHead = cast<RankedTensorType>(attention.getQuery().getType()).getDimSize(3);
    }
    sum.product = out.hasOneUse() ? dyn_cast<linalg::LinalgOp>(*out.user_begin()) : linalg::LinalgOp();
    if (!sum.product || !linalg::isaContractionOpInterface(sum.product) || ShapedType::isDynamic(sum.perHead))
      return fail("no product follows on attention");
    sum.operand = out.use_begin()->getOperandNumber();
    auto loop = dyn_cast<AffineDimExpr>(getMap(sum, sum.operand).getResult(2));
    if (!loop || sum.product.getIteratorTypesArray()[loop.getPosition()] != utils::IteratorType::reduction)
      return fail("the product behind attention does not sum over its heads");
    return success();
  }

  static AffineMap getMap(const HeadSum &sum, unsigned operand) {
    linalg::LinalgOp product = sum.product;
    return product.getMatchingIndexingMap(&product->getOpOperand(operand));
  }

  /// `count` heads of `value` from `first` on, in `dim`; all of a dim of one, which is the same for every head.
  static Value takeHeads(OpBuilder &builder, Value value, int64_t dim, int64_t first, int64_t count) {
    Part part = Part::whole(value);
    if (part.sizes[dim] == 1)
      return value;
    part.offsets[dim] = first;
    part.sizes[dim] = count;
    return takePart(builder, value, part);
  }

  /// The product of the heads that use keys `first` to `first + count`, added to `partial`.
  static Value createGroup(OpBuilder &builder, HeadSum sum, int64_t first, int64_t count, Value partial) {
    AttentionOp attention = sum.attention;
    int64_t all = getHeads(attention.getQuery()), shared = all / getHeads(attention.getKey());
    auto ofQuery = [&](Value value, int64_t dim) {
      return takeHeads(builder, value, dim, first * shared, count * shared);
    };
    Value query = ofQuery(attention.getQuery(), 2), key = takeHeads(builder, attention.getKey(), 2, first, count);
    Value value = takeHeads(builder, attention.getValue(), 2, first, count);
    Value bias = attention.getBias() ? ofQuery(attention.getBias(), 1) : Value();
    SmallVector<Value> outs;
    for (auto [number, out] : llvm::enumerate(attention.getOuts()))
      outs.push_back(ofQuery(out, number == 0 ? 2 : 1));
    auto group = cast<AttentionOp>(builder.clone(*attention));
    group.getQueryMutable().assign(query);
    group.getKeyMutable().assign(key);
    group.getValueMutable().assign(value);
    if (bias)
      group.getBiasMutable().assign(bias);
    group.getOutsMutable().assign(outs);
    for (auto [out, result] : llvm::zip_equal(outs, group->getResults()))
      result.setType(out.getType());
    if (group.getSeed()) {
      group.setHeadOffset(attention.getHeadOffset() + first * shared);
      group.setHeadCount(attention.getHeadCount() > 0 ? attention.getHeadCount() : all);
    }
    Value out = group->getResult(0);
    if (sum.merged)
      out = tensor::CollapseShapeOp::create(builder, sum.merged.getLoc(), out, sum.merged.getReassociationIndices());
    return createProduct(builder, sum, out, first * shared * sum.perHead, count * shared * sum.perHead, partial);
  }

  /// The part of the product that sums over `size` elements from `offset` on.
  static Value createProduct(OpBuilder &builder, HeadSum sum, Value out, int64_t offset, int64_t size, Value partial) {
    AffineExpr loop = getMap(sum, sum.operand).getResult(2);
    SmallVector<Value> operands(sum.product->getOperands());
    for (unsigned i = 0; i < operands.size(); ++i) {
      Part part = Part::whole(operands[i]);
      for (auto [dim, expr] : llvm::enumerate(getMap(sum, i).getResults()))
        if (expr == loop)
          part.offsets[dim] = offset, part.sizes[dim] = size;
      operands[i] = i == sum.operand ? out : takePart(builder, operands[i], part);
    }
    operands[sum.product.getDpsInitOperand(0)->getOperandNumber()] = partial;
    Operation *product = builder.clone(*sum.product);
    product->setOperands(operands);
    return product->getResult(0);
  }

  /// What `result` is computed from, up to inputs of the layer, the groups before, and what follows from parameters
  /// alone.
  FoundLayer collect(AttentionOp attention, Value result, Value before, const DenseSet<Value> &active) {
    FoundLayer group;
    group.attention = attention;
    group.results.push_back(result);
    auto isInput = [&](Value value) {
      Operation *definition = value.getDefiningOp();
      return !definition || value == before || isa<CheckpointOp>(definition) ||
             (!active.contains(value) && !isCheapToCopy(definition) && !isShapeComputation(definition));
    };
    collectOps(group, isInput, [&](Value value) { return value == before || active.contains(value); });
    return group;
  }

  Block &body;
  const llvm::SmallBitVector &activations;
  int64_t heads;
  std::string &why;
};

} // namespace

LogicalResult splitHeads(CheckpointOp layer, const llvm::SmallBitVector &activations, int64_t heads,
                         SmallVectorImpl<HeadGroup> &groups, std::string &why) {
  SmallVector<AttentionOp> attentions(layer.getBody().front().getOps<AttentionOp>());
  for (AttentionOp attention : attentions)
    if (failed(HeadSplitter(layer, activations, heads, why).split(attention, groups)))
      return failure();
  return success();
}

} // namespace bpt
