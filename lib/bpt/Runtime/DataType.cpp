// Names, widths and conversions of element types. Conversions to 16-bit floats round a double once: going through f32
// first would round twice.
#include "bpt/Runtime/DataType.h"
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace bpt {

namespace {

struct TypeFacts {
  DataType type;
  std::string_view file;
  std::string_view mlir;
  int64_t bytes;
  bool isFloat;
};

constexpr std::array<TypeFacts, 6> facts = {{{DataType::F32, "F32", "f32", 4, true},
                                             {DataType::F64, "F64", "f64", 8, true},
                                             {DataType::BF16, "BF16", "bf16", 2, true},
                                             {DataType::F16, "F16", "f16", 2, true},
                                             {DataType::I32, "I32", "i32", 4, false},
                                             {DataType::I64, "I64", "i64", 8, false}}};

constexpr const TypeFacts &factsOf(DataType type) { return facts[static_cast<size_t>(type)]; }

template <typename To, typename From> To bitCast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

/// IEEE binary16-like bits with `exponentBits` and `fractionBits` of `value`, rounded to nearest even.
template <int exponentBits, int fractionBits> uint16_t roundToHalf(double value) {
  constexpr int bias = (1 << (exponentBits - 1)) - 1;
  constexpr uint64_t infinity = uint64_t((1 << exponentBits) - 1) << fractionBits;
  uint64_t bits = bitCast<uint64_t>(value);
  uint64_t sign = (bits >> 63) << 15;
  int exponent = static_cast<int>((bits >> 52) & 0x7ff) - 1023;
  uint64_t fraction = bits & ((uint64_t(1) << 52) - 1);
  if (exponent == 1024)
    return static_cast<uint16_t>(sign | infinity | (fraction ? uint64_t(1) << (fractionBits - 1) : 0));

  // value = significand * 2^(exponent - 52); subnormal doubles are far below both formats and round to zero.
  uint64_t significand = fraction | (uint64_t(1) << 52);
  bool subnormal = exponent < 1 - bias;
  int shift = 52 - fractionBits + (subnormal ? 1 - bias - exponent : 0);
  if (shift >= 55)
    return static_cast<uint16_t>(sign);
  uint64_t quotient = significand >> shift;
  uint64_t rest = significand & ((uint64_t(1) << shift) - 1);
  uint64_t half = uint64_t(1) << (shift - 1);
  if (rest > half || (rest == half && (quotient & 1)))
    ++quotient;
  // A carry out of the fraction moves into the exponent by itself, in both cases.
  uint64_t magnitude = subnormal ? quotient : (uint64_t(exponent + bias - 1) << fractionBits) + quotient;
  return static_cast<uint16_t>(sign | (magnitude < infinity ? magnitude : infinity));
}

template <typename Int> Int roundToInteger(double value) {
  if (std::isnan(value))
    return 0;
  double rounded = std::nearbyint(value);
  if (rounded <= static_cast<double>(std::numeric_limits<Int>::min()))
    return std::numeric_limits<Int>::min();
  if (rounded >= static_cast<double>(std::numeric_limits<Int>::max()))
    return std::numeric_limits<Int>::max();
  return static_cast<Int>(rounded);
}

} // namespace

int64_t bytesPerElement(DataType type) { return factsOf(type).bytes; }
bool isFloat(DataType type) { return factsOf(type).isFloat; }
std::string_view fileName(DataType type) { return factsOf(type).file; }
std::string_view mlirName(DataType type) { return factsOf(type).mlir; }

std::optional<DataType> dataTypeFromFileName(std::string_view name) {
  for (const TypeFacts &fact : facts)
    if (fact.file == name)
      return fact.type;
  return std::nullopt;
}

uint16_t toBF16(double value) { return roundToHalf<8, 7>(value); }
uint16_t toF16(double value) { return roundToHalf<5, 10>(value); }
double fromBF16(uint16_t bits) { return bitCast<float>(uint32_t(bits) << 16); }

double fromF16(uint16_t bits) {
  int exponent = (bits >> 10) & 0x1f;
  int fraction = bits & 0x3ff;
  double magnitude =
      exponent == 0x1f ? (fraction ? std::numeric_limits<double>::quiet_NaN() : std::numeric_limits<double>::infinity())
      : exponent == 0  ? std::ldexp(fraction, -24)
                       : std::ldexp(fraction + 1024, exponent - 25);
  return std::copysign(magnitude, bits & 0x8000 ? -1.0 : 1.0);
}

double loadAsDouble(DataType type, const void *data, int64_t index) {
  switch (type) {
  case DataType::F32:
    return static_cast<const float *>(data)[index];
  case DataType::F64:
    return static_cast<const double *>(data)[index];
  case DataType::BF16:
    return fromBF16(static_cast<const uint16_t *>(data)[index]);
  case DataType::F16:
    return fromF16(static_cast<const uint16_t *>(data)[index]);
  case DataType::I32:
    return static_cast<const int32_t *>(data)[index];
  case DataType::I64:
    return static_cast<double>(static_cast<const int64_t *>(data)[index]);
  }
  return 0;
}

void storeFromDouble(DataType type, void *data, int64_t index, double value) {
  switch (type) {
  case DataType::F32:
    static_cast<float *>(data)[index] = static_cast<float>(value);
    return;
  case DataType::F64:
    static_cast<double *>(data)[index] = value;
    return;
  case DataType::BF16:
    static_cast<uint16_t *>(data)[index] = toBF16(value);
    return;
  case DataType::F16:
    static_cast<uint16_t *>(data)[index] = toF16(value);
    return;
  case DataType::I32:
    static_cast<int32_t *>(data)[index] = roundToInteger<int32_t>(value);
    return;
  case DataType::I64:
    static_cast<int64_t *>(data)[index] = roundToInteger<int64_t>(value);
    return;
  }
}

} // namespace bpt
