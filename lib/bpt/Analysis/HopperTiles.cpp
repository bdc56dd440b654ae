// Shared memory and warp roles of Hopper kernels; tiles of products.
#include "bpt/Analysis/HopperTiles.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

int64_t SharedLayout::add(StringRef name, int64_t regionBytes, int64_t alignment) {
  int64_t offset = static_cast<int64_t>(llvm::alignTo(bytes, alignment));
  regions.push_back({name.str(), offset, regionBytes});
  bytes = offset + regionBytes;
  return offset;
}

int64_t SharedLayout::getOffset(StringRef name) const {
  const Region *region = llvm::find_if(regions, [&](const Region &region) { return region.name == name; });
  assert(region != regions.end() && "a region of the layout");
  return region->offset;
}

std::string SharedLayout::getText() const {
  std::string text;
  for (const Region &region : regions)
    text += (Twine(text.empty() ? "" : " + ") + region.name + " " + Twine(region.bytes)).str();
  return text;
}

WarpRoles WarpRoles::get(int64_t consumers, int64_t producerRegisters) {
  if (consumers == 3)
    return {3, 32, 160};
  // 512 registers of each of 128 columns of threads, in steps of 8.
  return {2, producerRegisters, (512 - producerRegisters) / 2 / 8 * 8};
}

/// What is left of the last wave of tiles, as a part of all: 1 means that no SM waits.
static double getWaveEfficiency(int64_t tiles) {
  int64_t waves = llvm::divideCeil(tiles, HopperLimits::multiprocessors);
  return static_cast<double>(tiles) / static_cast<double>(waves * HopperLimits::multiprocessors);
}

HopperGemmTiles HopperGemmTiles::get(std::optional<int64_t> rows, std::optional<int64_t> columns, int64_t stagingBytes,
                                     int64_t extraFragments) {
  // Wide tiles read less: 128 x 256 takes 3/4 of the bytes of two 128 x 128.
  struct Candidate {
    int64_t rows, columns;
    double rate;
  };
  constexpr Candidate candidates[] = {{128, 256, 1.0}, {128, 192, 0.96}, {128, 128, 0.9}, {128, 64, 0.7}};
  WarpRoles roles = WarpRoles::get(2);
  HopperGemmTiles best{};
  double bestScore = 0;
  for (const Candidate &candidate : candidates) {
    int64_t fragments = candidate.columns / 2 * (1 + extraFragments);
    std::string name = (Twine(candidate.rows) + "x" + Twine(candidate.columns)).str();
    if (fragments > roles.getFragmentRegisters()) {
      best.why += (Twine(name) + " refused: " + Twine(fragments) + " registers of fragments, " +
                   Twine(roles.getFragmentRegisters()) + " fit; ")
                      .str();
      continue;
    }
    double score = candidate.rate;
    if (rows && columns)
      score *=
          getWaveEfficiency(llvm::divideCeil(*rows, candidate.rows) * llvm::divideCeil(*columns, candidate.columns)) *
          static_cast<double>(*columns) /
          static_cast<double>(llvm::alignTo(std::max<int64_t>(*columns, 1), candidate.columns));
    if (score <= bestScore) {
      best.why += name + " refused: more idle SMs or columns; ";
      continue;
    }
    bestScore = score;
    std::string why = std::move(best.why);
    best = HopperGemmTiles{candidate.rows, candidate.columns, 64, 0, roles, fragments, 0, 0, why};
  }
  best.stageBytes = (best.rows + (1 + extraFragments) * best.columns) * best.depth * 2;
  int64_t staging = best.rows * best.columns * stagingBytes, barriers = 1024;
  best.stages = std::min<int64_t>(6, (HopperLimits::sharedBytes - staging - barriers) / best.stageBytes);
  best.sharedBytes = best.stages * best.stageBytes + staging + barriers;
  best.why += (Twine(best.rows) + "x" + Twine(best.columns) + "x" + Twine(best.depth) + ", " + Twine(best.stages) +
               " stages, " + Twine(best.sharedBytes) + " bytes shared, " + Twine(best.fragmentRegisters) +
               " registers of fragments")
                  .str();
  return best;
}

} // namespace bpt
