// bpt-peak [compute|memory]: what shares of peak refer to, as one line of JSON: the rates of the machine's fused
// multiply-add units in f32, with its widest vectors and with those of AVX2 (0: it has none), of the bare register tile
// of a product on packed operands in the caches, and of its memory:
// {"threads":2,"gflops":..,"gflops_avx2":..,"tile_gflops":.., "tile_gflops_avx2":..,"gbytes_per_second":..}. A number
// among the arguments is that of threads.
#include "rates.h"
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
  constexpr int repeats = 4'000'000;
  return MultiplyAdds<lanes>::flops * repeats * threads /
         measure(threads, [](int) { MultiplyAdds<lanes>::run(repeats); }) * 1e-9;
}

template <int lanes> static double tileGflops(int threads) {
  constexpr int repeats = 600;
  std::vector<RegisterTiles<lanes>> tiles(threads);
  return RegisterTiles<lanes>::flops * repeats * threads /
         measure(threads, [&](int thread) { tiles[thread].run(repeats); }) * 1e-9;
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
