// Dense row-major tensors in host memory: what goes into a compiled entry and comes out of it.
#pragma once
#include "bpt/Runtime/DataType.h"
#include "bpt/Runtime/Error.h"
#include <memory>
#include <string>
#include <vector>

namespace bpt {

/// Sizes of the dimensions, outermost first. In descriptions of arguments -1 is a dynamic dimension.
using Shape = std::vector<int64_t>;

/// Number of elements of a static `shape`; an error when a size is negative or the product times `type`'s width does
/// not fit in 63 bits.
Expected<int64_t> countElements(const Shape &shape, DataType type);

/// `2x?x64xbf16`, the spelling inside `tensor<>`; a scalar is just `f32`.
std::string describeType(DataType type, const Shape &shape);

/// A handle to a dense row-major buffer. Copies of the handle share the buffer. The buffer is owned (64-byte aligned,
/// freed with the last handle) or borrowed (the caller keeps it alive).
class Tensor {
public:
  /// An f32 scalar without a buffer; only a placeholder.
  Tensor() = default;

  /// A new buffer with unspecified contents. Errors: bad shape (exit 1), refused allocation (exit 4).
  static Expected<Tensor> allocate(DataType type, Shape shape);

  /// A new buffer of zeros.
  static Expected<Tensor> zeros(DataType type, Shape shape);

  /// A new f32/f64/i32/i64/.. scalar.
  static Expected<Tensor> scalar(DataType type, double value);

  /// A borrowed buffer of `countElements(shape)` elements. The shape must be valid (see countElements).
  static Tensor view(DataType type, Shape shape, void *data);

  DataType type() const { return elementType; }
  const Shape &shape() const { return sizes; }
  int64_t rank() const { return static_cast<int64_t>(sizes.size()); }
  int64_t elements() const { return count; }
  int64_t bytes() const { return count * bytesPerElement(elementType); }
  bool owning() const { return storage != nullptr; }

  /// The buffer; null for a placeholder. A handle is a pointer: const of the handle is not const of the elements.
  void *data() const { return buffer; }
  /// The buffer as elements of C type T; T must have the width of type().
  template <typename T> T *as() const { return static_cast<T *>(buffer); }

  /// Element at the flat row-major `index` (0 <= index < elements()).
  double get(int64_t index) const { return loadAsDouble(elementType, buffer, index); }
  void set(int64_t index, double value) const { storeFromDouble(elementType, buffer, index, value); }
  /// The element of an i32 or i64 tensor, exact.
  int64_t getInteger(int64_t index) const;

  /// An owned tensor with the same elements.
  Expected<Tensor> copy() const;
  /// An owned tensor with the elements rounded once to `type`.
  Expected<Tensor> converted(DataType type) const;

private:
  DataType elementType = DataType::F32;
  Shape sizes;
  int64_t count = 1;
  std::shared_ptr<void> storage;
  void *buffer = nullptr;
};

/// A tensor with the name it has in a file or in an entry's signature.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

} // namespace bpt
