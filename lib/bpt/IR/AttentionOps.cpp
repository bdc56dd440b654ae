// Attention and its gradient: verifiers, memory effects, canonicalisation.
#include "Destination.h"
#include "Verify.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace bpt {

/// C1 (elements), C2, C4 to C7 and C9: what attention and its gradient have in common.
template <typename AttentionLike> static LogicalResult verifyAttention(AttentionLike op, ShapeChecker &shapes) {
  // C1, C2
  if (failed(shapes.check("query", op.getQuery(), "BSHD")) || failed(shapes.check("key", op.getKey(), "BTGD")) ||
      failed(shapes.check("value", op.getValue(), "BTGD")) || failed(shapes.checkPositive("HGD")))
    return failure();
  std::optional<int64_t> heads = shapes.getSize('H'), groups = shapes.getSize('G');
  if (heads && groups && *heads % *groups != 0)
    return op.emitOpError("expected the ") << *heads << " query heads to be a multiple of the key/value heads, but got "
                                           << *groups << " key/value heads";
  // C1, C4
  if (failed(shapes.check("bias", op.getBias(), "bhst")))
    return failure();
  // C5
  if (!op.getQuerySegments() != !op.getKeySegments())
    return op.emitOpError("expected both query and key segments or none, but got only the ")
           << (op.getQuerySegments() ? "query" : "key") << " segments";
  Type i32 = IntegerType::get(op.getContext(), 32);
  if (failed(shapes.check("query segments", op.getQuerySegments(), "BS", i32)) ||
      failed(shapes.check("key segments", op.getKeySegments(), "BT", i32)))
    return failure();
  // C6
  if (failed(verifyProbability(op, "dropout", op.getDropout())))
    return failure();
  if ((op.getDropout().convertToDouble() > 0) != bool(op.getSeed()))
    return op.emitOpError("expected a seed exactly when dropout > 0, but got ")
           << (op.getSeed() ? "a seed and dropout 0" : "dropout and no seed");
  // C7
  if (failed(verifyNonNegative(op, "softcap", op.getSoftcap())) || failed(verifyFinite(op, "scale", op.getScale())))
    return failure();
  // C9
  int64_t first = op.getHeadOffset(), all = op.getHeadCount();
  if ((first != 0 || all != 0) && (first < 0 || !heads || first > all - *heads))
    return op.emitOpError("expected 0 <= head_offset and head_offset + H <= head_count, but got head_offset ")
           << first << ", head_count " << all << (heads ? " and H " + Twine(*heads) : Twine(" and a dynamic H"));
  return success();
}

void AttentionOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult AttentionOp::verify() {
  Type element = getElement(getQuery());
  ShapeChecker shapes(*this, element);
  // C8 (count)
  if (failed(verifyDestination(*this, 2, 3)) || failed(verifyAttention(*this, shapes)))
    return failure();
  // C1, C3
  if (failed(shapes.check("out", getOuts()[0], "BSHD")) ||
      failed(shapes.check("lse", getOuts()[1], "BHS", getAccumulatorType(element))))
    return failure();
  // C8
  return hasProbabilities() ? shapes.check("probabilities", getOuts()[2], "BHST") : success();
}

/// Rewrites the mask in fewer words; one that hides nothing of these shapes becomes #bpt.full.
template <typename AttentionLike> static LogicalResult simplifyMaskOf(AttentionLike op, PatternRewriter &rewriter) {
  BlockMaskAttrInterface mask = simplifyMask(op.getMask());
  int64_t rows = getShape(op.getQuery()).getDimSize(1), columns = getShape(op.getKey()).getDimSize(1);
  if (!op.getQueryOffset() && !ShapedType::isDynamic(rows) && !ShapedType::isDynamic(columns) &&
      mask.classifyBlock(0, rows, 0, columns) == BlockVisibility::All)
    mask = FullMaskAttr::get(op.getContext());
  if (mask == op.getMask())
    return rewriter.notifyMatchFailure(op, "the mask is as simple as can be");
  rewriter.modifyOpInPlace(op, [&] { op.setMaskAttr(mask); });
  return success();
}

/// Probabilities that nobody uses are an [B,H,S,T] tensor for nothing.
static LogicalResult dropProbabilities(AttentionOp op, PatternRewriter &rewriter) {
  if (op.getNumResults() != 3 || !op.getResult(2).use_empty())
    return rewriter.notifyMatchFailure(op, "no probabilities, or they are used");
  dropLastOut(op, rewriter);
  return success();
}

void AttentionOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *) {
  patterns.add(simplifyMaskOf<AttentionOp>);
  patterns.add(dropProbabilities);
}

void AttentionGradOp::getCanonicalizationPatterns(RewritePatternSet &patterns, MLIRContext *) {
  patterns.add(simplifyMaskOf<AttentionGradOp>);
}

void AttentionGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult AttentionGradOp::verify() {
  Type element = getElement(getQuery()), accumulator = getAccumulatorType(element);
  ShapeChecker shapes(*this, element);
  // C1 (count), C3
  unsigned outs = getBias() ? 4 : 3;
  if (failed(verifyDestination(*this, outs, outs)) || failed(verifyAttention(*this, shapes)) ||
      failed(shapes.check("out", getOut(), "BSHD")) || failed(shapes.check("lse", getLse(), "BHS", accumulator)) ||
      failed(shapes.check("probabilities", getProbabilities(), "BHST")))
    return failure();
  // C2
  if (failed(shapes.check("dout", getDout(), "BSHD")) || failed(shapes.check("dlse", getDlse(), "BHS", accumulator)))
    return failure();
  // C1
  if (failed(shapes.checkGradient("dquery", getOuts()[0], "BSHD")) || failed(shapes.checkGradient("dkey", getOuts()[1], "BTGD")) ||
      failed(shapes.checkGradient("dvalue", getOuts()[2], "BTGD")))
    return failure();
  if (!getBias())
    return success();
  return verifyGradient(*this, "dbias", getOuts()[3], "bias", getBias());
}

} // namespace bpt
