// Loops whose rates shares of peak refer to: the fused multiply-add units in f32, and the bare register tile of a
// product.
#pragma once

#include <vector>

#if defined(__AVX512F__)
constexpr int nativeLanes = 16;
#elif defined(__AVX__)
constexpr int nativeLanes = 8;
#else
constexpr int nativeLanes = 4;
#endif

template <int lanes> struct Vector {
  typedef float Type __attribute__((vector_size(lanes * sizeof(float))));
};

/// Multiply-adds of whole vectors: independent accumulators in registers, no memory.
template <int lanes> struct MultiplyAdds {
  static constexpr int accumulators = 12;
  /// Of one repeat.
  static constexpr double flops = 2.0 * lanes * accumulators;

  static void run(int repeats) {
    using Vector = typename Vector<lanes>::Type;
    Vector sums[accumulators];
    Vector scale, offset;
    for (int i = 0; i < lanes; ++i)
      scale[i] = 0.999f, offset[i] = 0.001f;
    for (Vector &sum : sums)
      sum = offset;
    for (int repeat = 0; repeat < repeats; ++repeat) {
#pragma clang loop unroll(full)
      for (int i = 0; i < accumulators; ++i)
        sums[i] = sums[i] * scale + offset;
      asm volatile(""
                   : "+v"(sums[0]), "+v"(sums[1]), "+v"(sums[2]), "+v"(sums[3]), "+v"(sums[4]), "+v"(sums[5]),
                     "+v"(sums[6]), "+v"(sums[7]), "+v"(sums[8]), "+v"(sums[9]), "+v"(sums[10]), "+v"(sums[11]));
    }
    for (Vector &sum : sums)
      asm volatile("" ::"v"(sum));
  }
};

/// The register tile of the contraction kernels (6 rows; 4 vectors of 512 bits, else 2) over packed operands: a block
/// of A of 192 rows in the second-level cache, a panel of B in the first. No product is faster than this.
template <int lanes> class RegisterTiles {
  using Vector = typename Vector<lanes>::Type;
  static constexpr int rows = 6, vectors = lanes == 16 ? 4 : 2, depth = lanes == 16 ? 128 : 256, count = 32;
  static_assert(count * rows == 192);

  std::vector<float> left = std::vector<float>(count * depth * rows, 0.5f);
  std::vector<Vector> panel = std::vector<Vector>(depth * vectors, Vector{});
  std::vector<Vector> block = std::vector<Vector>(count * rows * vectors, Vector{});

  static void multiplyOne(const float *left, const Vector *panel, Vector *block) {
    Vector sums[rows][vectors] = {};
#pragma clang loop unroll_count(4)
    for (int k = 0; k < depth; ++k, left += rows, panel += vectors)
#pragma clang loop unroll(full)
      for (int i = 0; i < rows; ++i)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; ++j)
          sums[i][j] += left[i] * panel[j];
    for (int i = 0; i < rows; ++i)
      for (int j = 0; j < vectors; ++j)
        block[i * vectors + j] += sums[i][j];
  }

public:
  /// Of one repeat.
  static constexpr double flops = 2.0 * rows * vectors * lanes * depth * count;

  void run(int repeats) {
    for (int repeat = 0; repeat < repeats; ++repeat) {
      for (int tile = 0; tile < count; ++tile)
        multiplyOne(&left[tile * depth * rows], panel.data(), &block[tile * rows * vectors]);
      asm volatile("" ::"r"(block.data()) : "memory");
    }
  }
};
