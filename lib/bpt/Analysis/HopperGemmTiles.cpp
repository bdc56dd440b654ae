// Tiles of the Hopper kernels of matrix products (performance.md, A5).
#include "bpt/Analysis/HopperTiles.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

namespace {
struct Candidate {
  int64_t columns;
  /// Speed relative to the widest: narrow tiles read more of A and B for each product.
  double rate;
};
} // namespace

static constexpr Candidate candidates[] = {{256, 1.0}, {192, 0.96}, {128, 0.9}, {64, 0.7}};
static constexpr int64_t tileRows = 128, tileDepth = 64, mostStages = 6, barrierBytes = 256;

/// The part of all SMs that have work, over all waves of tiles, times the part of the tiles' columns that exist.
static double getUse(int64_t rows, int64_t columns, int64_t columnBlock) {
  int64_t columnTiles = llvm::divideCeil(columns, columnBlock), tiles = llvm::divideCeil(rows, tileRows) * columnTiles;
  int64_t places = static_cast<int64_t>(llvm::alignTo(tiles, HopperLimits::multiprocessors));
  return static_cast<double>(tiles) / static_cast<double>(places) * static_cast<double>(columns) /
         static_cast<double>(columnTiles * columnBlock);
}

static HopperGemmTiles build(const HopperGemmShape &shape, int64_t columns) {
  HopperGemmTiles tiles{};
  tiles.rows = tileRows, tiles.columns = columns, tiles.depth = tileDepth;
  tiles.roles = WarpRoles::get(2);
  tiles.fragmentRegisters = columns / 2 * shape.products;
  tiles.stageBytes = tiles.getLeftBytes() + shape.products * tiles.getRightBytes();
  // One matrix: a piece is written while the one before is read. The pieces of a tile take all slots equally often, so
  // that the first piece of a tile follows the last one of the tile before in their turns.
  int64_t pieces = columns / 64;
  tiles.stagingSlots = shape.stagedOuts != 1 ? shape.stagedOuts : pieces % 2 ? pieces : 2;
  int64_t staging = tiles.roles.consumers * tiles.stagingSlots * HopperGemmTiles::pieceBytes;
  tiles.stages = std::min(mostStages, (HopperLimits::sharedBytes - staging - barrierBytes) / tiles.stageBytes);
  tiles.layout.add("stages", tiles.stages * tiles.stageBytes);
  tiles.layout.add("staging", staging);
  tiles.layout.add("barriers", barrierBytes);
  return tiles;
}

HopperGemmTiles HopperGemmTiles::get(const HopperGemmShape &shape) {
  HopperGemmTiles best{};
  std::string refused;
  double bestScore = 0;
  for (const Candidate &candidate : candidates) {
    HopperGemmTiles tiles = build(shape, candidate.columns);
    std::string name = (Twine(tiles.rows) + "x" + Twine(tiles.columns)).str();
    // What the end of a tile computes with has to fit beside the sums.
    if (tiles.fragmentRegisters > 128) {
      refused += (Twine("; ") + name + " refused: " + Twine(tiles.fragmentRegisters) + " registers of sums").str();
      continue;
    }
    double score = candidate.rate;
    if (shape.columns) // as many rows as all SMs take where nothing is known
      score *= getUse(shape.rows.value_or(tileRows * HopperLimits::multiprocessors), *shape.columns, tiles.columns);
    if (score <= bestScore) {
      refused += (Twine("; ") + name + " refused: more idle SMs or columns").str();
      continue;
    }
    bestScore = score;
    best = std::move(tiles);
  }
  best.why = (Twine(best.rows) + "x" + Twine(best.columns) + "x" + Twine(best.depth) + ", " + Twine(best.stages) +
              " stages: " + Twine(best.layout.getBytes()) + " bytes of shared memory, " +
              Twine(best.fragmentRegisters) + " registers of sums" + refused)
                 .str();
  return best;
}

} // namespace bpt
