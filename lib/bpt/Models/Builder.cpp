// The layers that models are made of.
#include "Builder.h"
#include "bpt/Models/Models.h"
#include <cmath>

using namespace mlir;

namespace bpt {

static RankedTensorType getTensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

GraphBuilder::GraphBuilder(MLIRContext *context, StringRef dtype, const Sizes &sizes) : builder(context), sizes(sizes) {
  context
      ->loadDialect<BPTDialect, func::FuncDialect, linalg::LinalgDialect, tensor::TensorDialect, arith::ArithDialect>();
  module = ModuleOp::create(builder.getUnknownLoc());
  element = dtype == "f64"    ? FloatType(builder.getF64Type())
            : dtype == "bf16" ? FloatType(builder.getBF16Type())
            : dtype == "f16"  ? FloatType(builder.getF16Type())
                              : FloatType(builder.getF32Type());
  accumulator = getAccumulatorType(element);
}

//===-- Declarations --------------------------------------------------------------------------------------------===//

RankedTensorType GraphBuilder::typeOf(ArrayRef<int64_t> shape) const { return RankedTensorType::get(shape, element); }

void GraphBuilder::declare(const Twine &name, ArrayRef<int64_t> shape, Attribute init) {
  parameters.push_back({name.str(), typeOf(shape), init});
}

void GraphBuilder::declareNormal(const Twine &name, ArrayRef<int64_t> shape, double std) {
  declare(name, shape, NormalInitAttr::get(builder.getContext(), builder.getF64FloatAttr(std)));
}

void GraphBuilder::declareOnes(const Twine &name, ArrayRef<int64_t> shape) {
  declare(name, shape, OnesInitAttr::get(builder.getContext()));
}

void GraphBuilder::declareZeros(const Twine &name, ArrayRef<int64_t> shape) {
  declare(name, shape, ZerosInitAttr::get(builder.getContext()));
}

void GraphBuilder::begin(double dropout) {
  auto ids = RankedTensorType::get({sizes.batch, sizes.context}, builder.getI32Type());
  SmallVector<Type> types;
  SmallVector<StringRef> names;
  for (const Parameter &parameter : parameters) {
    types.push_back(parameter.type);
    names.push_back(parameter.name);
  }
  types.append({ids, ids});
  names.append({"tokens", "targets"});
  dropoutProbability = dropout;
  if (dropout > 0) {
    types.push_back(RankedTensorType::get({}, builder.getI64Type()));
    names.push_back("seed");
  }

  builder.setInsertionPointToEnd(module->getBody());
  auto loss = RankedTensorType::get({}, accumulator);
  function = func::FuncOp::create(builder, at("loss"), "loss", builder.getFunctionType(types, loss));
  function.setResultAttr(0, "bpt.name", builder.getStringAttr("loss"));
  Block *body = function.addEntryBlock();
  for (auto [i, name, argument] : llvm::enumerate(names, body->getArguments())) {
    function.setArgAttr(i, "bpt.name", builder.getStringAttr(name));
    argument.setLoc(at(name));
    values[name] = argument;
  }
  for (auto [i, parameter] : llvm::enumerate(parameters)) {
    function.setArgAttr(i, "bpt.init", parameter.init);
    // Matrices, embeddings among them, decay; biases and norms do not (as in GPT-2's and Llama's training).
    function.setArgAttr(i, "bpt.decay", builder.getBoolAttr(parameter.type.getRank() > 1));
  }
  for (unsigned i : {parameters.size(), parameters.size() + 1})
    function.setArgAttr(i, "bpt.range", builder.getI64IntegerAttr(sizes.vocab));
  tokens = values["tokens"];
  targets = values["targets"];
  seed = values.lookup("seed");
  builder.setInsertionPointToStart(body);
  zero = arith::ConstantOp::create(builder, at("zero"), builder.getFloatAttr(element, 0.0));
}

OwningOpRef<ModuleOp> GraphBuilder::finish(Value loss) {
  func::ReturnOp::create(builder, at("loss"), loss);
  return std::move(module);
}

//===-- Helpers -------------------------------------------------------------------------------------------------===//

Value GraphBuilder::find(StringRef name, StringRef part) const { return values.lookup((name + "." + part).str()); }

Location GraphBuilder::at(const Twine &name) const {
  std::string text = name.str();
  StringRef local = text;
  (void)(local.consume_front("transformer.") || local.consume_front("model."));
  return NameLoc::get(StringAttr::get(builder.getContext(), local));
}

Value GraphBuilder::empty(RankedTensorType type, StringRef name) {
  return tensor::EmptyOp::create(builder, at(name + ".init"), type.getShape(), type.getElementType());
}

Value GraphBuilder::addBroadcast(Value a, Value b, StringRef name) {
  RankedTensorType type = getTensorType(a);
  unsigned rank = type.getRank();
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  AffineMap trailing = identity.getMinorSubMap(getTensorType(b).getRank());
  auto sum = linalg::GenericOp::create(builder, at(name), type, ValueRange{a, b}, empty(type, name),
                                       {identity, trailing, identity},
                                       SmallVector<utils::IteratorType>(rank, utils::IteratorType::parallel),
                                       [&](OpBuilder &body, Location, ValueRange values) {
                                         Location loc = body.getUnknownLoc();
                                         Value result = arith::AddFOp::create(body, loc, values[0], values[1]);
                                         linalg::YieldOp::create(body, loc, result);
                                       });
  for (BlockArgument argument : sum.getBody()->getArguments())
    argument.setLoc(builder.getUnknownLoc());
  return sum.getResult(0);
}

//===-- Layers --------------------------------------------------------------------------------------------------===//

Value GraphBuilder::embedding(StringRef name) {
  RankedTensorType type = typeOf({sizes.batch, sizes.context, sizes.embed});
  return EmbeddingOp::create(builder, at(name), type, tokens, find(name, "weight"), empty(type, name), Value())
      .getResult(0);
}

Value GraphBuilder::addPositions(Value x, StringRef name) { return addBroadcast(x, find(name, "weight"), name); }

Value GraphBuilder::layerNorm(Value x, StringRef name, double eps) {
  return LayerNormOp::create(builder, at(name), x.getType(), x, find(name, "weight"), find(name, "bias"),
                             empty(getTensorType(x), name), Value(), builder.getF64FloatAttr(eps))
      .getResult(0);
}

Value GraphBuilder::rmsNorm(Value x, StringRef name, double eps) {
  return RMSNormOp::create(builder, at(name), x.getType(), x, find(name, "weight"), empty(getTensorType(x), name),
                           Value(), builder.getF64FloatAttr(eps))
      .getResult(0);
}

Value GraphBuilder::linear(Value x, StringRef name, bool transposed) {
  Value weight = find(name, "weight"), bias = find(name, "bias");
  int64_t columns = getTensorType(weight).getDimSize(transposed ? 0 : 1);
  RankedTensorType type = typeOf({sizes.batch, sizes.context, columns});
  AffineExpr b, s, n, k;
  bindDims(builder.getContext(), b, s, n, k);
  auto map = [&](ArrayRef<AffineExpr> dims) { return AffineMap::get(4, 0, dims, builder.getContext()); };
  AffineMap weightMap = transposed ? map({n, k}) : map({k, n});
  Value init = linalg::FillOp::create(builder, at(name + ".zeros"), zero, empty(type, name)).getResult(0);
  Value product = linalg::ContractOp::create(builder, at(bias ? name + ".product" : name), type, {x, weight}, init,
                                             builder.getAffineMapArrayAttr({map({b, s, k}), weightMap, map({b, s, n})}))
                      .getResult(0);
  return bias ? addBroadcast(product, bias, name) : product;
}

Value GraphBuilder::slice(Value x, int64_t from, int64_t size, StringRef name) {
  RankedTensorType type = getTensorType(x);
  SmallVector<OpFoldResult> offsets(type.getRank(), builder.getIndexAttr(0)),
      strides(type.getRank(), builder.getIndexAttr(1)), lengths;
  for (int64_t length : type.getShape())
    lengths.push_back(builder.getIndexAttr(length));
  offsets.back() = builder.getIndexAttr(from);
  lengths.back() = builder.getIndexAttr(size);
  return tensor::ExtractSliceOp::create(builder, at(name), x, offsets, lengths, strides);
}

Value GraphBuilder::splitHeads(Value x, int64_t heads, StringRef name) {
  RankedTensorType type = typeOf({sizes.batch, sizes.context, heads, sizes.embed / sizes.heads});
  return tensor::ExpandShapeOp::create(builder, at(name), type, x, SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}});
}

Value GraphBuilder::mergeHeads(Value x, StringRef name) {
  RankedTensorType type = typeOf({sizes.batch, sizes.context, sizes.embed});
  return tensor::CollapseShapeOp::create(builder, at(name), type, x,
                                         SmallVector<ReassociationIndices>{{0}, {1}, {2, 3}});
}

Value GraphBuilder::rotary(Value x, double theta, StringRef name) {
  return RotaryOp::create(builder, at(name), x.getType(), x, Value(), empty(getTensorType(x), name), Value(),
                          builder.getF64FloatAttr(theta), UnitAttr())
      .getResult(0);
}

Value GraphBuilder::attention(Value q, Value k, Value v, StringRef name) {
  RankedTensorType type = getTensorType(q);
  auto statistics = RankedTensorType::get({sizes.batch, sizes.heads, sizes.context}, accumulator);
  double scale = 1 / std::sqrt(static_cast<double>(type.getDimSize(3)));
  Value out = empty(type, name), lse = empty(statistics, (name + ".lse").str());
  return AttentionOp::create(builder, at(name), TypeRange{type, statistics}, q, k, v, Value(), Value(), Value(),
                             Value(), seed, ValueRange{out, lse}, Value(), CausalMaskAttr::get(builder.getContext()),
                             builder.getF64FloatAttr(scale), builder.getF64FloatAttr(0),
                             builder.getF64FloatAttr(dropoutProbability),
                             builder.getI64IntegerAttr(dropoutProbability > 0 ? stream++ : 0),
                             /*head_offset=*/builder.getI64IntegerAttr(0), /*head_count=*/builder.getI64IntegerAttr(0),
                             ScheduleAttr())
      .getResult(0);
}

Value GraphBuilder::feedForward(Value x, StringRef up, StringRef gate, StringRef down, Activation activation,
                                bool transposed, StringRef name) {
  return FeedForwardOp::create(builder, at(name), x.getType(), x, find(up, "weight"), find(up, "bias"),
                               find(gate, "weight"), find(gate, "bias"), find(down, "weight"), find(down, "bias"),
                               empty(getTensorType(x), name), Value(), activation, transposed, ScheduleAttr())
      .getResult(0);
}

Value GraphBuilder::dropout(Value x, StringRef name) {
  if (dropoutProbability == 0)
    return x;
  return DropoutOp::create(builder, at(name), x.getType(), x, seed, Value(), empty(getTensorType(x), name), Value(),
                           builder.getF64FloatAttr(dropoutProbability), builder.getI64IntegerAttr(stream++))
      .getResult(0);
}

Value GraphBuilder::add(Value a, Value b, StringRef name) { return addBroadcast(a, b, name); }

Value GraphBuilder::crossEntropy(Value x, StringRef name) {
  auto scalar = RankedTensorType::get({}, accumulator);
  auto rows = RankedTensorType::get({sizes.batch, sizes.context}, accumulator);
  return LinearCrossEntropyOp::create(builder, at("loss"), TypeRange{scalar, rows}, x, find(name, "weight"), targets,
                                      Value(), ValueRange{empty(scalar, "loss"), empty(rows, "loss.lse")}, Value(),
                                      builder.getI64IntegerAttr(-100), builder.getUnitAttr(), ScheduleAttr())
      .getResult(0);
}

void printModel(ModuleOp module, llvm::raw_ostream &os) {
  module->print(os, OpPrintingFlags().printNameLocAsPrefix());
  os << '\n';
}

} // namespace bpt
