// Views of memrefs for tensor maps.
#include "Operands.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace bpt::hopper {

static SmallVector<int64_t> getStrides(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)))
    strides.clear();
  return strides;
}

SmallVector<unsigned> getLongDims(MemRefType type) {
  SmallVector<unsigned> dims;
  for (unsigned i = 0; i < type.getRank(); ++i)
    if (type.getDimSize(i) != 1)
      dims.push_back(i);
  return dims;
}

bool areMergeable(MemRefType type, unsigned outer, unsigned inner) {
  if (type.getLayout().isIdentity()) { // whatever is between them has size 1
    for (unsigned i = outer + 1; i < inner; ++i)
      if (type.getDimSize(i) != 1)
        return false;
    return outer < inner;
  }
  SmallVector<int64_t> strides = getStrides(type);
  return !strides.empty() && !ShapedType::isDynamic(strides[outer]) && !ShapedType::isDynamic(strides[inner]) &&
         !type.isDynamicDim(inner) && strides[outer] == strides[inner] * type.getDimSize(inner);
}

bool isWalkable(MemRefType type) {
  SmallVector<int64_t> strides = getStrides(type);
  if (strides.empty() && type.getRank() != 0)
    return false;
  SmallVector<unsigned> dims = getLongDims(type);
  if (dims.empty())
    return false;
  if (strides[dims.back()] != 1)
    return false;
  // A dynamic stride of an outer dim counts whole rows.
  bool isRow = true;
  for (unsigned dim : llvm::reverse(ArrayRef(dims).drop_back())) {
    bool isDynamic = ShapedType::isDynamic(strides[dim]);
    if (isRow ? isDynamic : false)
      return false;
    if (!isDynamic && strides[dim] * type.getElementTypeBitWidth() % 128)
      return false;
    isRow = false;
  }
  return true;
}

std::string refuseToWalk(ValueRange memrefs) {
  for (Value memref : memrefs)
    if (memref && !isWalkable(cast<MemRefType>(memref.getType())))
      return "a row is not contiguous or no known multiple of 16 bytes apart from the next";
  return "";
}

Value regroup(ImplicitLocOpBuilder &b, Value memref, ArrayRef<DimGroup> groups) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<int64_t> staticStrides = getStrides(type);
  memref::ExtractStridedMetadataOp metadata = memref::ExtractStridedMetadataOp::create(b, memref);
  SmallVector<OpFoldResult> sizes, strides;
  for (const DimGroup &group : groups) {
    int64_t known = 1;
    Value unknown;
    std::optional<unsigned> last;
    for (unsigned dim : group) {
      if (type.getDimSize(dim) == 1)
        continue;
      last = dim;
      if (!type.isDynamicDim(dim)) {
        known *= type.getDimSize(dim);
        continue;
      }
      Value size = b.createOrFold<memref::DimOp>(memref, dim);
      unknown = unknown ? b.createOrFold<arith::MulIOp>(unknown, size) : size;
    }
    if (unknown && known != 1)
      unknown = b.createOrFold<arith::MulIOp>(unknown, arith::ConstantIndexOp::create(b, known));
    sizes.push_back(unknown ? getAsOpFoldResult(unknown) : OpFoldResult(b.getIndexAttr(known)));
    // Nobody steps along a dim of size 1, but a tensor map wants whole 16 bytes there, too.
    if (!last)
      strides.push_back(b.getIndexAttr(&group == &groups.back() ? 1 : 64));
    else if (!ShapedType::isDynamic(staticStrides[*last]))
      strides.push_back(b.getIndexAttr(staticStrides[*last]));
    else
      strides.push_back(OpFoldResult(metadata.getStrides()[*last]));
  }
  SmallVector<int64_t> shape, layout;
  for (auto [size, stride] : llvm::zip_equal(sizes, strides)) {
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
    layout.push_back(getConstantIntValue(stride).value_or(ShapedType::kDynamic));
  }
  auto result =
      MemRefType::get(shape, type.getElementType(),
                      StridedLayoutAttr::get(b.getContext(), ShapedType::kDynamic, layout), type.getMemorySpace());
  return memref::ReinterpretCastOp::create(b, result, memref, OpFoldResult(metadata.getOffset()), sizes, strides);
}

//===-- Rows ----------------------------------------------------------------------------------------------------===//

void RowSpace::add(MemRefType type, int64_t trailing) {
  leading = type.getRank() - trailing;
  SmallVector<DimGroup> mine;
  for (unsigned dim = 0; dim < leading; ++dim) {
    if (type.getDimSize(dim) == 1 && !mine.empty()) // goes with anything
      mine.back().push_back(dim);
    else if (!mine.empty()) {
      // The innermost long dim of the group before; a group of dims of size 1 takes anything.
      auto last = llvm::find_if(llvm::reverse(mine.back()), [&](unsigned d) { return type.getDimSize(d) != 1; });
      if (last == mine.back().rend() || areMergeable(type, *last, dim))
        mine.back().push_back(dim);
      else
        mine.push_back({dim});
    } else {
      mine.push_back({dim});
    }
  }
  if (isEmpty) {
    groups = std::move(mine);
    isEmpty = false;
    return;
  }
  // A group begins wherever one begins for any of the memrefs.
  SmallVector<bool> begins(leading, false);
  for (ArrayRef<DimGroup> all : {ArrayRef(groups), ArrayRef(mine)})
    for (const DimGroup &group : all)
      begins[group.front()] = true;
  groups.clear();
  for (unsigned dim = 0; dim < leading; ++dim) {
    if (begins[dim])
      groups.emplace_back();
    groups.back().push_back(dim);
  }
}

Value RowSpace::view(ImplicitLocOpBuilder &b, Value memref, int64_t trailing) const {
  SmallVector<DimGroup> all(2);
  for (auto [i, group] : llvm::enumerate(llvm::reverse(groups)))
    all[1 - i] = group;
  for (int64_t i = 0; i < trailing; ++i)
    all.push_back({static_cast<unsigned>(leading + i)});
  return regroup(b, memref, all);
}

Value slice(ImplicitLocOpBuilder &b, Value memref, ValueRange offsets, ValueRange sizes) {
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<OpFoldResult> begin(type.getRank(), b.getIndexAttr(0)), extent, step(type.getRank(), b.getIndexAttr(1));
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    extent.push_back(type.isDynamicDim(dim) ? OpFoldResult(b.createOrFold<memref::DimOp>(memref, dim))
                                            : OpFoldResult(b.getIndexAttr(type.getDimSize(dim))));
  for (auto [dim, offset, size] : llvm::enumerate(offsets, sizes)) {
    if (!offset)
      continue;
    begin[dim] = getAsOpFoldResult(offset);
    extent[dim] = getAsOpFoldResult(size);
  }
  return memref::SubViewOp::create(b, memref, begin, extent, step);
}

//===-- Workspaces ----------------------------------------------------------------------------------------------===//

Value WorkspaceSections::take(Value elements, Type type) {
  Value begin = next ? next : Value(arith::ConstantIndexOp::create(b, 0));
  constexpr int64_t alignment = 128;
  auto constant = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(b, value); };
  Value size = b.createOrFold<arith::MulIOp>(elements, constant(type.getIntOrFloatBitWidth() / 8));
  size = b.createOrFold<arith::AddIOp>(size, constant(alignment - 1));
  size = b.createOrFold<arith::MulIOp>(b.createOrFold<arith::DivUIOp>(size, constant(alignment)), constant(alignment));
  next = b.createOrFold<arith::AddIOp>(begin, size);
  return begin;
}

Value WorkspaceSections::view(Value offset, ValueRange sizes, Type type) {
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  for (Value size : sizes) {
    std::optional<int64_t> constant = getConstantIntValue(size);
    shape.push_back(constant.value_or(ShapedType::kDynamic));
    if (!constant)
      dynamic.push_back(size);
  }
  return memref::ViewOp::create(b, MemRefType::get(shape, type), bytes, offset, dynamic);
}

} // namespace bpt::hopper
