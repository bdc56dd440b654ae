// Counter-based dropout in vector code: Philox4x32-10 (Salmon et al. 2011), one call for eight keep decisions.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <array>

namespace bpt {
/// Key of the generator: the two halves of the seed as i32.
struct PhiloxKey {
  mlir::Value low, high;
};

/// Loads a 0-d i64 seed and splits it.
PhiloxKey loadPhiloxKey(mlir::ImplicitLocOpBuilder &b, mlir::Value seed);

/// The four output words for four counter words; all i32 or all vectors of i32 of one length. `asPairs`: products of the even and of
/// the odd lanes of a vector, which is fast where vectors are registers of a CPU, and slow where their elements are in lanes of a warp.
std::array<mlir::Value, 4> buildPhilox(mlir::ImplicitLocOpBuilder &b, std::array<mlir::Value, 4> counter,
                                       PhiloxKey key, bool asPairs = true);

/// round(probability * 65536) clamped to [0, 65535]: a half word below it drops its element.
int64_t getDropoutThreshold(double probability);

/// i1 (or vector of i1): half word `k` of each output is kept.
mlir::Value buildKeep(mlir::ImplicitLocOpBuilder &b, const std::array<mlir::Value, 4> &words, unsigned k,
                      int64_t threshold);

/// The keep decisions of lanes x 8 consecutive elements, where lane n of the words is the call for elements [8n, 8n +
/// 8): vector of 8 * lanes i1 in element order.
mlir::Value buildKeepInOrder(mlir::ImplicitLocOpBuilder &b, const std::array<mlir::Value, 4> &words, int64_t threshold);
} // namespace bpt
