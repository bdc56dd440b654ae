// Checkpoint, blockwise, barrier: parsing, verifiers, effects, canonicalisation.
#include "Verify.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/BitVector.h"

using namespace mlir;

namespace bpt {

//===-- What both regions share ---------------------------------------------------------------------------------===//

/// The body's arguments have these types, and it ends with a bpt.yield of those types.
static LogicalResult verifyBody(Operation *op, Block &body, TypeRange arguments, TypeRange yielded) {
  if (!llvm::equal(body.getArgumentTypes(), arguments)) {
    InFlightDiagnostic error = op->emitOpError("expected arguments (");
    llvm::interleaveComma(arguments, error);
    error << ") of the body, but got (";
    llvm::interleaveComma(body.getArgumentTypes(), error);
    return error << ")";
  }
  auto yield = body.empty() ? YieldOp() : dyn_cast<YieldOp>(body.back());
  if (!yield)
    return op->emitOpError("expected a body that ends with bpt.yield");
  if (!llvm::equal(yield.getOperandTypes(), yielded)) {
    InFlightDiagnostic error = op->emitOpError("expected the body to yield (");
    llvm::interleaveComma(yielded, error);
    error << "), but got (";
    llvm::interleaveComma(yield.getOperandTypes(), error);
    return error << ")";
  }
  return success();
}

/// Positions among `values` that `arguments` do not need: unused ones, and repetitions, whose uses move to the first.
static llvm::BitVector findSuperfluous(RewriterBase &rewriter, OperandRange values, ValueRange arguments) {
  llvm::BitVector superfluous(values.size());
  llvm::SmallDenseMap<Value, Value> first;
  for (auto [value, argument] : llvm::zip(values, arguments)) {
    auto [known, inserted] = first.try_emplace(value, argument);
    if (!inserted)
      rewriter.replaceAllUsesWith(argument, known->second);
  }
  for (auto [i, argument] : llvm::enumerate(arguments))
    superfluous[i] = argument.use_empty();
  return superfluous;
}

static SmallVector<Value> selectOthers(ValueRange values, const llvm::BitVector &without) {
  SmallVector<Value> kept;
  for (auto [i, value] : llvm::enumerate(values))
    if (!without.test(i))
      kept.push_back(value);
  return kept;
}

/// Moves the body of `from` to `to`, which has fewer arguments and results.
static void moveBody(RewriterBase &rewriter, Operation *from, Operation *to, const llvm::BitVector &withoutArguments,
                     const llvm::BitVector &withoutResults) {
  Region &body = to->getRegion(0);
  rewriter.inlineRegionBefore(from->getRegion(0), body, body.end());
  Operation *yield = body.front().getTerminator();
  rewriter.modifyOpInPlace(yield, [&] { yield->setOperands(selectOthers(yield->getOperands(), withoutResults)); });
  rewriter.modifyOpInPlace(to, [&] { body.front().eraseArguments(withoutArguments); });
  to->setDiscardableAttrs(from->getDiscardableAttrDictionary());
  for (auto [old, replacement] : llvm::zip(selectOthers(from->getResults(), withoutResults), to->getResults()))
    rewriter.replaceAllUsesWith(old, replacement);
  rewriter.eraseOp(from);
}

static llvm::BitVector findUnused(ResultRange results, unsigned count) {
  llvm::BitVector unused(results.size());
  for (OpResult result : results.take_front(count))
    unused[result.getResultNumber()] = result.use_empty();
  return unused;
}

static SmallVector<Type> typesOfOthers(ResultRange results, const llvm::BitVector &without) {
  return llvm::to_vector(ValueRange(selectOthers(results, without)).getTypes());
}

//===-- Checkpoint ----------------------------------------------------------------------------------------------===//

LogicalResult CheckpointOp::verify() {
  // C1
  if (getBody().empty() != bool(getCallee()))
    return emitOpError("expected either a body or a callee, but got ") << (getCallee() ? "both" : "neither");
  // C2
  return getCallee() ? success() : verifyBody(*this, getBody().front(), getInputs().getTypes(), getResultTypes());
}

/// Whether running `function` ends up in `target`.
static bool reaches(SymbolTableCollection &symbols, Operation *function, Operation *target,
                    llvm::SmallPtrSetImpl<Operation *> &visited) {
  if (function == target)
    return true;
  if (!visited.insert(function).second)
    return false;
  WalkResult result = function->walk([&](Operation *inner) {
    Operation *callee = nullptr;
    if (auto checkpoint = dyn_cast<CheckpointOp>(inner); checkpoint && checkpoint.getCalleeAttr())
      callee = symbols.lookupNearestSymbolFrom(inner, checkpoint.getCalleeAttr());
    else if (auto call = dyn_cast<CallOpInterface>(inner))
      callee = call.resolveCallableInTable(&symbols);
    return callee && reaches(symbols, callee, target, visited) ? WalkResult::interrupt() : WalkResult::advance();
  });
  return result.wasInterrupted();
}

LogicalResult CheckpointOp::verifySymbolUses(SymbolTableCollection &symbols) {
  FlatSymbolRefAttr callee = getCalleeAttr();
  if (!callee)
    return success();
  // C3
  Operation *symbol = symbols.lookupNearestSymbolFrom(*this, callee);
  auto function = dyn_cast_or_null<FunctionOpInterface>(symbol);
  if (!function) {
    InFlightDiagnostic error = emitOpError("expected a function ") << callee << ", but got ";
    if (!symbol)
      return error << "no such symbol";
    return error << "a " << symbol->getName();
  }
  if (!llvm::equal(function.getArgumentTypes(), getOperandTypes()) ||
      !llvm::equal(function.getResultTypes(), getResultTypes())) {
    InFlightDiagnostic error = emitOpError("expected ")
                               << callee << " of type "
                               << FunctionType::get(getContext(), getOperandTypes(), getResultTypes()) << ", but got "
                               << function.getFunctionType();
    error.attachNote(function.getLoc()) << "see the callee";
    return error;
  }
  // C4
  llvm::SmallPtrSet<Operation *, 8> visited;
  auto parent = (*this)->getParentOfType<FunctionOpInterface>();
  if (parent && reaches(symbols, function, parent, visited))
    return emitOpError("expected a callee that does not lead back to the checkpoint's function, but got ") << callee;
  return success();
}

ParseResult CheckpointOp::parse(OpAsmParser &parser, OperationState &result) {
  // `@callee`? keep(..) inputs(..)? region? (-> types)?
  StringAttr callee;
  if (succeeded(parser.parseOptionalSymbolName(callee)))
    result.addAttribute("callee", FlatSymbolRefAttr::get(callee));
  StringRef keepWord;
  SMLoc keepLoc;
  if (parser.parseKeyword("keep") || parser.parseLParen() || parser.getCurrentLocation(&keepLoc) ||
      parser.parseKeyword(&keepWord) || parser.parseRParen())
    return failure();
  std::optional<Keep> keep = symbolizeKeep(keepWord);
  if (!keep)
    return parser.emitError(keepLoc, "expected input, attention, qkv or all, but got '") << keepWord << "'";
  result.addAttribute("keep", KeepAttr::get(parser.getContext(), *keep));
  SmallVector<OpAsmParser::UnresolvedOperand> inputs;
  SmallVector<Type> types;
  SMLoc inputsLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword("inputs")))
    if (parser.parseLParen() || parser.parseOperandList(inputs) || parser.parseColonTypeList(types) ||
        parser.parseRParen() || parser.resolveOperands(inputs, types, inputsLoc, result.operands))
      return failure();
  Region *body = result.addRegion();
  OptionalParseResult region = parser.parseOptionalRegion(*body);
  if (region.has_value() && failed(*region))
    return failure();
  if (succeeded(parser.parseOptionalArrow()) && parser.parseTypeList(result.types))
    return failure();
  return parser.parseOptionalAttrDictWithKeyword(result.attributes);
}

void CheckpointOp::print(OpAsmPrinter &printer) {
  if (FlatSymbolRefAttr callee = getCalleeAttr())
    printer << ' ' << callee;
  printer << " keep(" << stringifyKeep(getKeep()) << ")";
  if (!getInputs().empty())
    printer << " inputs(" << getInputs() << " : " << getInputs().getTypes() << ")";
  if (!getBody().empty()) {
    printer << ' ';
    printer.printRegion(getBody());
  }
  if (getNumResults())
    printer << " -> " << getResultTypes();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"callee", "keep"});
}

/// The operands are what is kept for the backward: an unused or repeated one would cost memory.
LogicalResult CheckpointOp::canonicalize(CheckpointOp op, PatternRewriter &rewriter) {
  if (op.getCallee())
    return rewriter.notifyMatchFailure(op, "the signature belongs to the callee");
  llvm::BitVector inputs = findSuperfluous(rewriter, op.getInputs(), op.getBody().getArguments());
  llvm::BitVector results = findUnused(op.getResults(), op.getNumResults());
  if (inputs.none() && results.none())
    return rewriter.notifyMatchFailure(op, "every operand and result is used");
  auto smaller = CheckpointOp::create(rewriter, op.getLoc(), typesOfOthers(op.getResults(), results),
                                      selectOthers(op.getInputs(), inputs), FlatSymbolRefAttr(), op.getKeepAttr());
  moveBody(rewriter, op, smaller, inputs, results);
  return success();
}

//===-- Blockwise -----------------------------------------------------------------------------------------------===//

LogicalResult BlockwiseOp::verify() {
  // C1
  if (getBlock() <= 0)
    return emitOpError("expected block > 0, but got ") << getBlock();
  if (getNumResults() < getAccumulated().size())
    return emitOpError("expected a result for each of the ")
           << getAccumulated().size() << " accumulated values, but got " << getNumResults() << " results";
  SmallVector<Value> sliced(getSliced());
  llvm::append_range(sliced, getSlicedResults());
  if (sliced.empty())
    return emitOpError("expected a sliced operand or result, but got none");
  // C5
  if (getDims().size() != sliced.size())
    return emitOpError("expected ") << sliced.size() << " dims, one per sliced operand and result, but got "
                                    << getDims().size();
  SmallVector<Type> blocks;
  std::optional<int64_t> length;
  for (auto [value, dim] : llvm::zip(sliced, getDims())) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type)
      return emitOpError("expected ranked tensors as sliced results, but got ") << value.getType();
    if (dim < 0 || dim >= type.getRank())
      return emitOpError("expected dims within the rank of the sliced value, but got ") << dim << " for " << type;
    // C2
    int64_t size = type.getDimSize(dim);
    if (!ShapedType::isDynamic(size) && length.value_or(size) != size)
      return emitOpError("expected a sequence of length ")
             << *length << ", but got " << size << " in dim " << dim << " of " << type;
    if (!ShapedType::isDynamic(size))
      length = size;
    blocks.push_back(getBlockType(type, dim, getBlock()));
  }
  if (failed(verifyByteSizes(*this, getOperandTypes())) || failed(verifyByteSizes(*this, getResultTypes())))
    return failure();
  if (!llvm::equal(getAccumulated().getTypes(), getAccumulatedResults().getTypes()))
    return emitOpError("expected the last results to have the types of the accumulated values");
  // C3, C4
  SmallVector<Type> arguments = {IndexType::get(getContext())}, yielded;
  llvm::append_range(arguments, ArrayRef(blocks).take_front(getSliced().size()));
  llvm::append_range(arguments, getShared().getTypes());
  llvm::append_range(arguments, getAccumulated().getTypes());
  llvm::append_range(yielded, ArrayRef(blocks).drop_front(getSliced().size()));
  llvm::append_range(yielded, getAccumulated().getTypes());
  return verifyBody(*this, *getBodyBlock(), arguments, yielded);
}

RankedTensorType BlockwiseOp::getBlockType(RankedTensorType whole, int64_t dim, int64_t block) {
  SmallVector<int64_t> shape(whole.getShape());
  int64_t length = shape[dim];
  shape[dim] = !ShapedType::isDynamic(length) && length % block == 0 ? block : ShapedType::kDynamic;
  return RankedTensorType::get(shape, whole.getElementType(), whole.getEncoding());
}

/// Drops operands the body does not use, repeated shared ones, and sliced results (kept values) nobody uses.
LogicalResult BlockwiseOp::canonicalize(BlockwiseOp op, PatternRewriter &rewriter) {
  llvm::BitVector shared = findSuperfluous(rewriter, op.getShared(), op.getSharedArgs());
  llvm::BitVector results = findUnused(op.getResults(), op.getNumSlicedResults());
  llvm::BitVector sliced(op.getSliced().size());
  for (auto [i, argument] : llvm::enumerate(op.getSlicedArgs()))
    sliced[i] = argument.use_empty();
  if (!sliced.empty() && sliced.all())
    sliced.reset(0); // the length of the sequence comes from it
  if (op.getSliced().empty() && results.count() == op.getNumSlicedResults())
    results.reset(0);
  if (shared.none() && results.none() && sliced.none())
    return rewriter.notifyMatchFailure(op, "every operand and result is used");

  SmallVector<int64_t> dims;
  llvm::BitVector arguments(1), unusedDims = sliced;
  for (unsigned i = 0, e = op.getNumSlicedResults(); i != e; ++i)
    unusedDims.push_back(results.test(i));
  for (auto [i, dim] : llvm::enumerate(op.getDims()))
    if (!unusedDims.test(i))
      dims.push_back(dim);
  for (const llvm::BitVector &part : {sliced, shared, llvm::BitVector(op.getAccumulated().size())})
    for (unsigned i = 0, e = part.size(); i != e; ++i)
      arguments.push_back(part.test(i));
  auto smaller = BlockwiseOp::create(rewriter, op.getLoc(), typesOfOthers(op.getResults(), results),
                                     selectOthers(op.getSliced(), sliced), selectOthers(op.getShared(), shared),
                                     op.getAccumulated(), op.getBlock(), dims);
  moveBody(rewriter, op, smaller, arguments, results);
  return success();
}

//===-- Barrier -------------------------------------------------------------------------------------------------===//

void BarrierOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  // An allocation of its own results: erased when unused, never merged with another.
  for (OpResult result : getOperation()->getOpResults())
    effects.emplace_back(MemoryEffects::Allocate::get(), result, SideEffects::DefaultResource::get());
}

} // namespace bpt
