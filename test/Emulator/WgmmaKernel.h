// Kernels of one warpgroup around wgmma, and operands laid out in shared memory as CUTLASS lays them out.
#pragma once
#include "Harness.h"
#include <array>

namespace bpt::test {

/// One wgmma.mma_async as inline PTX.
struct Product {
  uint32_t n = 8;
  std::string type = "bf16"; ///< bf16, f16 or tf32
  bool registers = false;    ///< A from the registers %a0..%a3
  bool accumulate = false;   ///< adds to `input`0..
  int signA = 1, signB = 1;  ///< 1 or -1
  bool transposeA = false, transposeB = false;
  std::string a = "%descA", b = "%descB"; ///< i64 values
  uint32_t addA = 0, addB = 0;            ///< added to the descriptors inside the asm
  std::string input = "%d";               ///< prefix of the accumulators that go in
  std::string output = "%d";              ///< and of those that come out

  /// The asm call and the extraction of its results.
  std::string text() const;
};

/// `wait_group pending` with `count` accumulators `from`0.. tied through it to `to`0..
std::string tiedWait(int pending, uint32_t count, const std::string &from, const std::string &to);

extern const char *const wgmmaFence, *const wgmmaCommit;

/// A kernel of one warpgroup (parameters %in, %out, %descA, %descB, %a of 4 i32 a thread): copies `sharedBytes` of
/// %in to shared memory, adds the array's address to the descriptors, then `body`, which leaves `count` numbers in
/// `result`0.. for %out.
std::string wgmmaKernel(uint32_t sharedBytes, const std::string &body, uint32_t count, const std::string &result);

/// An operand of 16 bits or tf32 with small integers as elements, as numbers and as bytes in a tile of CUTLASS atoms.
struct Operand {
  uint32_t extent, k;
  std::vector<float> numbers; ///< [mn][k]
  std::vector<uint8_t> bytes;
  uint64_t descriptor; ///< without the start address
};
enum class Atom { Interleave, B128, B64, B32 }; ///< as descriptors number them
/// `k` elements along k, of which one wgmma takes 16 (tf32: 8).
Operand makeOperand(uint32_t extent, uint32_t k, const std::string &type, Atom atom, bool mnMajor, uint32_t seed);

/// The registers of A as a warpgroup's threads hold them (ALayout_64x16, ALayout_64x8).
std::vector<uint32_t> fragmentsOf(const Operand &a, const std::string &type);

/// Runs the kernel once and returns the numbers by thread, `count` each.
std::vector<float> runWgmma(const std::string &kernel, const Operand &a, const Operand &b,
                            const std::vector<uint32_t> &fragments, uint32_t count, emulator::LaunchResult &result,
                            emulator::Options options = inMode(emulator::Mode::Eager));

} // namespace bpt::test
