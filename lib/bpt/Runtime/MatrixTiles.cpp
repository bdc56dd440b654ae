// Permission for AMX (Linux, Documentation/arch/x86/xstate.rst), and a measurement that tells whether it pays: some
// processors announce instructions for bf16 that are slower than two f32 ones.
#include "bpt/Runtime/MatrixTiles.h"
#include "bpt/Runtime/Program.h"
#if defined(__x86_64__) && defined(__linux__)
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace bpt {

#if defined(__x86_64__) && defined(__linux__)

bool requestMatrixTiles() {
  constexpr int requestPermission = 0x1023, tileData = 18; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
  return granted;
}

namespace {

constexpr int repeats = 500, rounds = 5;

/// Layout of LDTILECFG's operand (Intel SDM vol. 2A).
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, startRow = 0, reserved[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Four tiles of sums, the operands loaded from memory for each step, as the kernels do.
__attribute__((target("amx-tile,amx-bf16"))) void multiplyTiles() {
  alignas(64) static const uint16_t operands[4][512] = {};
  const TileConfiguration configuration;
  _tile_loadconfig(&configuration);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int i = 0; i < repeats; ++i) {
    _tile_loadd(4, operands[0], 64);
    _tile_loadd(5, operands[1], 64);
    _tile_loadd(6, operands[2], 64);
    _tile_loadd(7, operands[3], 64);
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 6, 5);
    _tile_dpbf16ps(3, 6, 7);
  }
  _tile_release();
}
constexpr double tileFlops = repeats * 4.0 * 2 * 16 * 16 * 32;

constexpr int accumulators = 12, multiplications = 10 * repeats;

__attribute__((target("avx512f"))) void multiplyVectors() {
  __m512 sums[accumulators], scale = _mm512_set1_ps(0.999f), offset = _mm512_set1_ps(0.001f);
  for (__m512 &sum : sums)
    sum = offset;
  for (int i = 0; i < multiplications; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_fmadd_ps(sum, scale, offset);
      asm volatile("" : "+v"(sum));
    }
}
constexpr double vectorFlops = multiplications * double(accumulators) * 2 * 16;

double measureRate(void (*work)(), double flops) {
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return flops / best;
}

} // namespace

bool areMatrixTilesFaster() {
  static const bool faster = [] {
    if (!checkCpuFeatures({"+avx512f", "+amx-tile", "+amx-bf16"}))
      return false;
    return measureRate(multiplyTiles, tileFlops) > measureRate(multiplyVectors, vectorFlops);
  }();
  return faster;
}

#else

bool requestMatrixTiles() { return false; }
bool areMatrixTilesFaster() { return false; }

#endif

} // namespace bpt
