// TMA and bulk copies.
#include "TensorMemory.h"

using namespace mlir;

namespace bpt::hopper {

void TensorMemory::prefetch(Value map) {
  NVVM::PrefetchOp::create(e, /*cacheLevel=*/NVVM::PrefetchCacheLevelAttr(), NVVM::CacheEvictionPriorityAttr(), map,
                           Value(),
                           /*tensormap=*/e.getUnitAttr());
}

Value TensorMemory::toCluster(Value shared) { return LLVM::AddrSpaceCastOp::create(e, e.pointerType(7), shared); }

void TensorMemory::load(Value map, ValueRange coordinates, Value shared, Value barrier) {
  NVVM::CpAsyncBulkTensorGlobalToSharedClusterOp::create(
      e, toCluster(shared), map, coordinates, barrier, /*im2colOffsets=*/ValueRange(), /*multicastMask=*/Value(),
      /*l2CacheHint=*/Value(), NVVM::TMALoadMode::TILE, /*isCTAOnly=*/false, NVVM::CTAGroupKindAttr(), Value());
}

void TensorMemory::store(Value map, ValueRange coordinates, Value shared) {
  NVVM::CpAsyncBulkTensorSharedCTAToGlobalOp::create(e, map, shared, coordinates, /*l2CacheHint=*/Value(),
                                                     NVVM::TMAStoreMode::TILE, Value());
}

void TensorMemory::reduceAdd(Value map, ValueRange coordinates, Value shared) {
  NVVM::CpAsyncBulkTensorReduceOp::create(e, map, shared, NVVM::TMAReduxKind::ADD, NVVM::TMAStoreMode::TILE,
                                          coordinates,
                                          /*l2CacheHint=*/Value());
}

void TensorMemory::loadRow(Value global, Value shared, int64_t bytes, Value barrier) {
  Value source = LLVM::AddrSpaceCastOp::create(e, e.pointerType(1), global);
  NVVM::CpAsyncBulkGlobalToSharedClusterOp::create(e, toCluster(shared), source, barrier, e.i32(bytes), Value(),
                                                   Value());
}

void TensorMemory::commit() { NVVM::CpAsyncBulkCommitGroupOp::create(e); }
void TensorMemory::waitRead(int64_t pending) {
  NVVM::CpAsyncBulkWaitGroupOp::create(e, static_cast<uint32_t>(pending), e.getUnitAttr());
}
void TensorMemory::waitWritten(int64_t pending) {
  NVVM::CpAsyncBulkWaitGroupOp::create(e, static_cast<uint32_t>(pending), UnitAttr());
}

void TensorMemory::fenceWrites() {
  NVVM::FenceProxyOp::create(e, NVVM::ProxyKind::async_shared,
                             NVVM::SharedSpaceAttr::get(e.getContext(), NVVM::SharedSpace::shared_cta));
}

} // namespace bpt::hopper
