// bpt-peak [compute|memory]: what shares of peak refer to, as one line of JSON: the rates of the machine's fused
// multiply-add units in f32, with its widest vectors and with those of AVX2 (0: it has none), of the bare register tile
// of a product on packed operands in the caches, and of its memory:
// {"threads":2,"gflops":..,"gflops_avx2":..,"tile_gflops":.., "tile_gflops_avx2":..,"gbytes_per_second":..}. A number
// among the arguments is that of threads.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

#if defined(__AVX512F__)
constexpr int nativeLanes = 16;
#elif defined(__AVX__)
constexpr int nativeLanes = 8;
#else
constexpr int nativeLanes = 4;
#endif
constexpr int accumulators = 12, repeats = 4'000'000;

template <int lanes> struct Vector {
  typedef float Type __attribute__((vector_size(lanes * sizeof(float))));
};

/// accumulators * repeats multiply-adds of whole vectors: independent accumulators in registers, no memory.
template <int lanes> static void multiplyAdd() {
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

/// The register tile of the contraction kernels (6 rows; 4 vectors of 512 bits, else 2) over packed operands: a block
/// of A of 192 rows in the second-level cache, a panel of B in the first. No product is faster than this.
template <int lanes> struct Tiles {
  using Vector = typename Vector<lanes>::Type;
  static constexpr int rows = 6, vectors = lanes == 16 ? 4 : 2, depth = lanes == 16 ? 128 : 256, count = 32,
                       panels = 600;
  static constexpr double flops = 2.0 * rows * vectors * lanes * depth * count * panels;

  static void multiply() {
    static_assert(count * rows == 192);
    std::vector<float> left(count * depth * rows, 0.5f);
    std::vector<Vector> panel(depth * vectors, Vector{}), block(count * rows * vectors, Vector{});
    for (int repeat = 0; repeat < panels; ++repeat) {
      for (int tile = 0; tile < count; ++tile)
        multiplyOne(&left[tile * depth * rows], panel.data(), &block[tile * rows * vectors]);
      asm volatile("" ::"r"(block.data()) : "memory");
    }
  }

private:
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
};

/// The fewest seconds that the slowest of `threads` threads takes for `work(thread)`.
static double measure(int threads, const std::function<void(int)> &work) {
  double best = 1e30;
  for (int round = 0; round < 5; ++round) {
    std::vector<double> seconds(threads);
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i)
      workers.emplace_back([&, i] {
        auto start = std::chrono::steady_clock::now();
        work(i);
        seconds[i] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      });
    for (std::thread &worker : workers)
      worker.join();
    best = std::min(best, *std::max_element(seconds.begin(), seconds.end()));
  }
  return best;
}

template <int lanes> static double gflops(int threads) {
  return 2.0 * lanes * accumulators * repeats * threads / measure(threads, [](int) { multiplyAdd<lanes>(); }) * 1e-9;
}

template <int lanes> static double tileGflops(int threads) {
  return Tiles<lanes>::flops * threads / measure(threads, [](int) { Tiles<lanes>::multiply(); }) * 1e-9;
}

/// Scales an array in place, far larger than the caches: each line is read and written once, and both count. (A copy
/// to elsewhere also reads what it overwrites, which nobody would count.)
static double gbytesPerSecond(int threads) {
  size_t bytes = std::max(256L << 20, 8 * sysconf(_SC_LEVEL3_CACHE_SIZE)), part = bytes / sizeof(float) / threads;
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    return 0;
  madvise(memory, bytes, MADV_HUGEPAGE);
  double seconds = measure(threads, [&](int thread) {
    float *values = static_cast<float *>(memory) + thread * part;
    for (size_t i = 0; i < part; ++i)
      values[i] = values[i] * 0.999f + 0.001f;
  });
  munmap(memory, bytes);
  return 2.0 * sizeof(float) * part * threads / seconds * 1e-9;
}

int main(int argc, char **argv) {
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  std::string what;
  for (int i = 1; i < argc; ++i)
    if (int number = std::atoi(argv[i]); number > 0)
      threads = number;
    else
      what = argv[i];
  std::printf("{\"threads\":%d", threads);
  if (what != "memory") {
    double native = gflops<nativeLanes>(threads), tile = tileGflops<nativeLanes>(threads), avx2 = 0, tileAvx2 = 0;
#if defined(__AVX2__) && defined(__FMA__)
    avx2 = nativeLanes == 8 ? native : gflops<8>(threads);
    tileAvx2 = nativeLanes == 8 ? tile : tileGflops<8>(threads);
#endif
    std::printf(",\"gflops\":%.1f,\"gflops_avx2\":%.1f,\"tile_gflops\":%.1f,\"tile_gflops_avx2\":%.1f", native, avx2,
                tile, tileAvx2);
  }
  if (what != "compute")
    std::printf(",\"gbytes_per_second\":%.1f", gbytesPerSecond(threads));
  std::printf("}\n");
}
