// Element types of runtime tensors, their names in files and in MLIR, and conversion to and from double.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bpt {

/// Types a compiled entry can take and give. All are little-endian IEEE (bf16: the upper half of an f32).
enum class DataType : uint8_t { F32, F64, BF16, F16, I32, I64 };

/// Bytes of one element: 2, 4 or 8.
int64_t bytesPerElement(DataType type);

/// True for f32, f64, bf16 and f16.
bool isFloat(DataType type);

/// The name in safetensors files and manifests: "F32", "BF16", ...
std::string_view fileName(DataType type);

/// The name in MLIR and in messages: "f32", "bf16", ...
std::string_view mlirName(DataType type);

/// The type called `name` in safetensors files and manifests; none for others ("BOOL", "f32", ...).
std::optional<DataType> dataTypeFromFileName(std::string_view name);

/// Element `index` of the dense buffer `data` as a double. i64 beyond 2^53 is rounded.
double loadAsDouble(DataType type, const void *data, int64_t index);

/// Stores `value` rounded once to nearest, ties to even. Integers are rounded to the nearest integer and clamped to
/// the range of the type; a NaN becomes 0 there.
void storeFromDouble(DataType type, void *data, int64_t index, double value);

/// The bits of `value` in bf16 or f16, rounded once to nearest even; overflow gives infinity, a NaN stays a quiet NaN.
uint16_t toBF16(double value);
uint16_t toF16(double value);
double fromBF16(uint16_t bits);
double fromF16(uint16_t bits);

} // namespace bpt
