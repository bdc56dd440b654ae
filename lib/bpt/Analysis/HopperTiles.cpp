// Shared memory and warp roles of Hopper kernels.
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

} // namespace bpt
