// bpt-peak: the rate of the machine's fused multiply-add units in f32, what shares of peak refer to. One line of JSON:
// {"threads":2,"gflops":..}. Independent vector accumulators in registers, no memory.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
typedef float Vector __attribute__((vector_size(lanes * sizeof(float))));
constexpr int accumulators = 12, repeats = 4'000'000;

/// Seconds one thread takes for accumulators * repeats multiply-adds of whole vectors.
static double measure() {
  Vector sums[accumulators];
  Vector scale, offset;
  for (int i = 0; i < lanes; ++i)
    scale[i] = 0.999f, offset[i] = 0.001f;
  for (Vector &sum : sums)
    sum = offset;
  auto start = std::chrono::steady_clock::now();
  for (int repeat = 0; repeat < repeats; ++repeat) {
#pragma clang loop unroll(full)
    for (int i = 0; i < accumulators; ++i)
      sums[i] = sums[i] * scale + offset;
    asm volatile("" : "+v"(sums[0]), "+v"(sums[1]), "+v"(sums[2]), "+v"(sums[3]), "+v"(sums[4]), "+v"(sums[5]), "+v"(sums[6]),
                 "+v"(sums[7]), "+v"(sums[8]), "+v"(sums[9]), "+v"(sums[10]), "+v"(sums[11]));
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (Vector &sum : sums)
    asm volatile("" ::"v"(sum));
  return seconds;
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : static_cast<int>(std::thread::hardware_concurrency());
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    std::vector<double> seconds(threads);
    std::vector<std::thread> workers;
    for (int i = 0; i < threads; ++i)
      workers.emplace_back([&, i] { seconds[i] = measure(); });
    for (std::thread &worker : workers)
      worker.join();
    double slowest = *std::max_element(seconds.begin(), seconds.end());
    best = std::max(best, 2.0 * lanes * accumulators * repeats * threads / slowest * 1e-9);
  }
  std::printf("{\"threads\":%d,\"gflops\":%.1f}\n", threads, best);
}
