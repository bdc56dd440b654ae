// Allocation, element counting and conversion of runtime tensors.
#include "bpt/Runtime/Tensor.h"
#include "bpt/Runtime/Packer.h"
#include "bpt/Runtime/Sizes.h"
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <sys/mman.h>

namespace bpt {

Expected<int64_t> countElements(const Shape &shape, DataType type) {
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0)
      return badInput(fmt::format("expected sizes of at least 0, but got {} in {}", size, describeType(type, shape)));
    if (__builtin_mul_overflow(count, size, &count))
      return badInput(fmt::format("{} has more than 2^63 elements", describeType(type, shape)));
  }
  int64_t bytes;
  if (__builtin_mul_overflow(count, bytesPerElement(type), &bytes) || !alignedSize(bytes))
    return badInput(fmt::format("{} has more than 2^63 bytes", describeType(type, shape)));
  return count;
}

std::string describeType(DataType type, const Shape &shape) {
  std::string text;
  for (int64_t size : shape)
    text += size < 0 ? "?x" : fmt::format("{}x", size);
  return text.append(mlirName(type));
}

Expected<Tensor> Tensor::allocate(DataType type, Shape shape) {
  Expected<int64_t> count = countElements(shape, type);
  if (!count)
    return count.takeError();
  Tensor tensor = view(type, std::move(shape), nullptr);
  // An empty tensor still gets an address.
  auto bytes = static_cast<size_t>(*alignedSize(tensor.bytes() ? tensor.bytes() : 1));
  // Rows of a large matrix lie in many small pages: huge ones where the system gives them.
  constexpr size_t hugePage = 2 << 20;
  bool large = bytes >= 2 * hugePage;
  void *memory = nullptr;
  if (::posix_memalign(&memory, large ? hugePage : arenaAlignment, bytes))
    return outOfMemory(fmt::format("cannot allocate {} for a tensor {}", formatBytes(bytes),
                                   describeType(tensor.elementType, tensor.sizes)));
  if (large)
    ::madvise(memory, bytes, MADV_HUGEPAGE);
  tensor.storage = std::shared_ptr<void>(memory, std::free);
  tensor.buffer = memory;
  return tensor;
}

Expected<Tensor> Tensor::zeros(DataType type, Shape shape) {
  Expected<Tensor> tensor = allocate(type, std::move(shape));
  if (tensor)
    std::memset(tensor->data(), 0, static_cast<size_t>(tensor->bytes()));
  return tensor;
}

Expected<Tensor> Tensor::scalar(DataType type, double value) {
  Expected<Tensor> tensor = allocate(type, {});
  if (tensor)
    tensor->set(0, value);
  return tensor;
}

Tensor Tensor::view(DataType type, Shape shape, void *data) {
  Tensor tensor;
  tensor.elementType = type;
  tensor.sizes = std::move(shape);
  tensor.count = 1;
  for (int64_t size : tensor.sizes)
    tensor.count *= size;
  tensor.buffer = data;
  return tensor;
}

int64_t Tensor::getInteger(int64_t index) const {
  return elementType == DataType::I32 ? as<int32_t>()[index] : as<int64_t>()[index];
}

Expected<Tensor> Tensor::copy() const {
  Expected<Tensor> result = allocate(elementType, sizes);
  if (result && buffer)
    std::memcpy(result->data(), buffer, static_cast<size_t>(bytes()));
  return result;
}

Expected<Tensor> Tensor::converted(DataType type) const {
  if (type == elementType)
    return copy();
  Expected<Tensor> result = allocate(type, sizes);
  if (!result)
    return result;
  for (int64_t i = 0; i < count; ++i)
    result->set(i, get(i)); // exact between i32 and f64; i64 values beyond 2^53 round
  return result;
}

} // namespace bpt
