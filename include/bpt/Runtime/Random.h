// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and tensors filled from it. A
// value depends on (seed, stream, element index) only: not on threads, type width or the other tensors.
#pragma once
#include "bpt/Runtime/Tensor.h"
#include <array>
#include <cstdint>

namespace bpt {

/// One block of 128 random bits.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// Fills a float tensor with N(0, std^2), rounded once to its type (Box-Muller in f64; element e takes word e % 4 of
/// block e / 4).
void fillNormal(const Tensor &tensor, uint64_t seed, uint32_t stream, double std = 1.0);

/// Fills an integer tensor with integers in [0, range), range >= 1.
void fillIntegers(const Tensor &tensor, uint64_t seed, uint32_t stream, int64_t range);

} // namespace bpt
