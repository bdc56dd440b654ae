// NVVM intrinsics that touch the multiprocessor: registers, barriers, warps, copies, wgmma.
#include "Intrinsics.h"
#include "bpt/Runtime/EmulatorABI.h"
#include "llvm/IR/InstIterator.h"

using namespace llvm;

namespace bpt {

using namespace emulator;

IntrinsicLowering::IntrinsicLowering(RuntimeCalls &calls, CallInst &call)
    : calls(calls), instruction(call), name(call.getCalledFunction()->getName().drop_front(strlen("llvm.nvvm."))),
      builder(&call) {
  where = calls.location(call, name);
}

bool IntrinsicLowering::fail(Twine text) {
  failure = text.str();
  return false;
}

bool IntrinsicLowering::starts(StringRef prefix) {
  rest = name;
  return rest.consume_front(prefix);
}

bool IntrinsicLowering::flag(unsigned index) {
  auto *constant = dyn_cast<ConstantInt>(argument(index));
  return constant && !constant->isZero();
}

void IntrinsicLowering::splitPredicate(Value *value) {
  Type *type = instruction.getType();
  auto *structure = dyn_cast<StructType>(type);
  Value *first = RuntimeCalls::convert(builder, value, builder.getInt32Ty());
  if (!structure) {
    result = RuntimeCalls::convert(builder, first, type);
    return;
  }
  Value *predicate = builder.CreateTrunc(builder.CreateLShr(value, 32), builder.getInt1Ty());
  Value *pair = PoisonValue::get(structure);
  pair = builder.CreateInsertValue(pair, RuntimeCalls::convert(builder, first, structure->getElementType(0)), 0);
  result = builder.CreateInsertValue(pair, predicate, 1);
}

bool IntrinsicLowering::specialRegister() {
  static constexpr std::pair<StringLiteral, SpecialRegister> registers[] = {
      {"tid.x", SpecialRegister::TidX},
      {"tid.y", SpecialRegister::TidY},
      {"tid.z", SpecialRegister::TidZ},
      {"ntid.x", SpecialRegister::NtidX},
      {"ntid.y", SpecialRegister::NtidY},
      {"ntid.z", SpecialRegister::NtidZ},
      {"ctaid.x", SpecialRegister::CtaidX},
      {"ctaid.y", SpecialRegister::CtaidY},
      {"ctaid.z", SpecialRegister::CtaidZ},
      {"nctaid.x", SpecialRegister::NctaidX},
      {"nctaid.y", SpecialRegister::NctaidY},
      {"nctaid.z", SpecialRegister::NctaidZ},
      {"laneid", SpecialRegister::LaneId},
      {"warpid", SpecialRegister::WarpId},
      {"nwarpid", SpecialRegister::NwarpId},
      {"smid", SpecialRegister::SmId},
      {"nsmid", SpecialRegister::NsmId},
      {"gridid", SpecialRegister::GridId},
      {"lanemask.eq", SpecialRegister::LanemaskEq},
      {"lanemask.le", SpecialRegister::LanemaskLe},
      {"lanemask.lt", SpecialRegister::LanemaskLt},
      {"lanemask.ge", SpecialRegister::LanemaskGe},
      {"lanemask.gt", SpecialRegister::LanemaskGt},
      {"clock", SpecialRegister::Clock},
      {"clock64", SpecialRegister::Clock64},
      {"globaltimer", SpecialRegister::GlobalTimer},
      {"cluster.ctarank", SpecialRegister::ClusterRank},
      {"cluster.nctarank", SpecialRegister::ClusterSize},
      {"dynamic_smem_size", SpecialRegister::DynamicSharedSize},
      {"total_smem_size", SpecialRegister::TotalSharedSize}};
  if (!starts("read.ptx.sreg."))
    return false;
  if (rest == "warpsize") {
    result = constant(32);
    return true;
  }
  for (auto &[ptx, which] : registers)
    if (rest == ptx) {
      call("bpt_emulated_special_register", {constant(uint32_t(which))});
      return true;
    }
  return false;
}

bool IntrinsicLowering::barrier() {
  if (starts("bar.warp.sync")) {
    call("bpt_emulated_warp_sync", {argument(0), where});
    return true;
  }
  if (!starts("barrier.cta."))
    return false;
  Value *aligned = constant(rest.contains("aligned"));
  if (rest.starts_with("sync")) {
    call("bpt_emulated_barrier_sync", {argument(0), rest.ends_with("all") ? constant(0) : argument(1), aligned, where});
    return true;
  }
  if (!rest.starts_with("arrive"))
    return false;
  call("bpt_emulated_barrier_arrive", {argument(0), argument(1), aligned, where});
  return true;
}

bool IntrinsicLowering::mbarrier() {
  if (!starts("mbarrier."))
    return false;
  if (rest.contains("space.cluster"))
    return fail("mbarriers of other blocks of a cluster are not emulated");
  if (rest.starts_with("init"))
    call("bpt_emulated_mbarrier_init", {argument(0), argument(1), where});
  else if (rest.starts_with("inval"))
    call("bpt_emulated_mbarrier_invalidate", {argument(0), where});
  else if (rest.starts_with("expect.tx"))
    call("bpt_emulated_mbarrier_expect", {argument(0), argument(1), where});
  else if (rest.starts_with("complete.tx"))
    call("bpt_emulated_mbarrier_complete", {argument(0), argument(1), where});
  else if (rest.starts_with("arrive")) {
    bool expects = rest.contains("expect.tx"), counts = !expects && instruction.arg_size() > 1;
    call("bpt_emulated_mbarrier_arrive", {argument(0), counts ? argument(1) : constant(1),
                                          expects ? argument(1) : constant(0), constant(rest.contains("drop")), where});
  } else if (rest.starts_with("try.wait") || rest.starts_with("test.wait")) {
    call(rest.starts_with("try") ? "bpt_emulated_mbarrier_try_wait" : "bpt_emulated_mbarrier_test_wait",
         {argument(0), argument(1), constant(rest.contains("parity")), where});
    result = builder.CreateIsNotNull(result);
  } else {
    return false;
  }
  return true;
}

bool IntrinsicLowering::fenceOrHint() {
  if (starts("fence.proxy.async")) {
    call("bpt_emulated_fence_proxy_async", {where});
    return true;
  }
  if (starts("fence.mbarrier_init")) {
    call("bpt_emulated_fence_mbarrier_init", {where});
    return true;
  }
  if (starts("prefetch.tensormap")) {
    call("bpt_emulated_tensor_prefetch", {argument(0), where});
    result = nullptr;
    return true;
  }
  if (name == "exit")
    return fail("exit in the middle of a kernel is not emulated");
  return starts("fence.") || starts("membar.") || starts("prefetch") || starts("nanosleep") ||
         starts("griddepcontrol.") || starts("discard.") || starts("applypriority.") ||
         starts("cp.async.bulk.prefetch");
}

bool IntrinsicLowering::warp() {
  if (name == "elect.sync") {
    splitPredicate(call("bpt_emulated_elect", {argument(0), where}));
    return true;
  }
  if (starts("setmaxnreg.")) {
    call("bpt_emulated_setmaxnreg", {constant(rest.starts_with("inc")), argument(0), where});
    return true;
  }
  if (starts("shfl.sync.")) {
    ShuffleMode mode = rest.starts_with("up")     ? ShuffleMode::Up
                       : rest.starts_with("down") ? ShuffleMode::Down
                       : rest.starts_with("bfly") ? ShuffleMode::Butterfly
                                                  : ShuffleMode::Index;
    splitPredicate(call("bpt_emulated_shuffle",
                        {constant(uint32_t(mode)), argument(0), argument(1), argument(2), argument(3), where}));
    return true;
  }
  if (starts("vote.") && rest.ends_with(".sync")) {
    VoteMode mode = rest.starts_with("all")   ? VoteMode::All
                    : rest.starts_with("any") ? VoteMode::Any
                    : rest.starts_with("uni") ? VoteMode::Uniform
                                              : VoteMode::Ballot;
    call("bpt_emulated_vote", {constant(uint32_t(mode)), argument(0), argument(1), where});
    if (mode != VoteMode::Ballot)
      result = builder.CreateIsNotNull(result);
    return true;
  }
  if (starts("redux.sync.")) {
    static constexpr StringLiteral operations[] = {"add", "min", "max", "umin", "umax", "and", "or", "xor"};
    for (auto [i, operation] : enumerate(operations))
      if (rest == operation) {
        call("bpt_emulated_redux", {constant(uint32_t(i)), argument(1), argument(0), where});
        return true;
      }
    return false;
  }
  if (name == "activemask")
    return fail("which lanes run together is not defined here; use a member mask");
  if (!starts("match."))
    return false;
  splitPredicate(call("bpt_emulated_match", {constant(rest.starts_with("all")), argument(0), argument(1), where}));
  return true;
}

bool IntrinsicLowering::matrix() {
  bool store = starts("stmatrix.sync.aligned.m8n8.x");
  if (!store && !starts("ldmatrix.sync.aligned.m8n8.x"))
    return false;
  unsigned count = 0;
  if (rest.consumeInteger(10, count) || !rest.contains("b16"))
    return false;
  IRBuilder<> entry(&instruction.getFunction()->getEntryBlock(), instruction.getFunction()->getEntryBlock().begin());
  AllocaInst *values = entry.CreateAlloca(ArrayType::get(builder.getInt32Ty(), count));
  auto element = [&](unsigned i) {
    return builder.CreateConstInBoundsGEP2_64(values->getAllocatedType(), values, 0, i);
  };
  if (store)
    for (unsigned i = 0; i < count; ++i)
      builder.CreateStore(argument(1 + i), element(i));
  call(store ? "bpt_emulated_stmatrix" : "bpt_emulated_ldmatrix",
       {argument(0), constant(count), constant(rest.contains("trans")), values, where});
  if (store)
    return true;
  if (count == 1) {
    result = builder.CreateLoad(builder.getInt32Ty(), element(0));
    return true;
  }
  result = PoisonValue::get(instruction.getType());
  for (unsigned i = 0; i < count; ++i)
    result = builder.CreateInsertValue(result, builder.CreateLoad(builder.getInt32Ty(), element(i)), i);
  return true;
}

bool IntrinsicLowering::wgmma() {
  if (!starts("wgmma."))
    return false;
  if (rest.starts_with("fence"))
    call("bpt_emulated_wgmma_fence", {where});
  else if (rest.starts_with("commit_group"))
    call("bpt_emulated_wgmma_commit", {where});
  else if (rest.starts_with("wait_group")) {
    Value *none = ConstantPointerNull::get(builder.getPtrTy());
    call("bpt_emulated_wgmma_wait", {argument(0), none, constant(0), none, where});
  } else {
    return false;
  }
  return true;
}

bool IntrinsicLowering::bulkCopy() {
  if (name == "cp.async.bulk.commit.group") {
    call("bpt_emulated_bulk_commit", {where});
    return true;
  }
  if (starts("cp.async.bulk.wait.group")) {
    call("bpt_emulated_bulk_wait", {argument(0), constant(rest == ".read"), where});
    return true;
  }
  if (starts("cp.async.bulk.global.to.shared.")) {
    // (destination, mbarrier, source, bytes[, multicast mask], cache hint[, multicast], has hint)
    if (rest == "cluster" && flag(6))
      return fail("multicast is not emulated");
    call("bpt_emulated_bulk_load", {argument(0), argument(1), argument(2), argument(3), where});
    return true;
  }
  if (name == "cp.async.bulk.shared.cta.to.global") {
    call("bpt_emulated_bulk_store", {argument(0), argument(1), argument(2), where});
    return true;
  }
  if (!starts("cp.async.bulk.tensor."))
    return false;
  unsigned rank = 0;
  if (!rest.ends_with("d") || rest.drop_back().take_back().getAsInteger(10, rank) || !rest.contains("tile.") ||
      rest.contains("4.2d"))
    return false;
  bool load = rest.starts_with("g2s"), prefetch = rest.starts_with("prefetch");
  // Loads: (destination, mbarrier, map, coordinates, ..); stores: (source, map, coordinates, ..); prefetches: (map,
  // coordinates, ..).
  unsigned first = load ? 3 : prefetch ? 1 : 2;
  if (rest.starts_with("g2s.tile") && flag(first + rank + 2))
    return fail("multicast is not emulated");
  Value *map = argument(first - 1);
  if (prefetch) {
    call("bpt_emulated_tensor_prefetch", {map, where});
    return true;
  }
  Reduction reduction = Reduction::None;
  static constexpr StringLiteral reductions[] = {"", "add", "min", "max", "and", "or", "xor", "inc", "dec"};
  for (unsigned i = 1; i < std::size(reductions); ++i)
    if (rest.starts_with(("reduce." + reductions[i] + ".").str()))
      reduction = Reduction(i);
  IRBuilder<> entry(&instruction.getFunction()->getEntryBlock(), instruction.getFunction()->getEntryBlock().begin());
  AllocaInst *coordinates = entry.CreateAlloca(ArrayType::get(builder.getInt32Ty(), 5));
  for (unsigned i = 0; i < rank; ++i)
    builder.CreateStore(argument(first + i),
                        builder.CreateConstInBoundsGEP2_64(coordinates->getAllocatedType(), coordinates, 0, i));
  if (load)
    call("bpt_emulated_tensor_load", {argument(0), argument(1), map, constant(rank), coordinates, where});
  else
    call("bpt_emulated_tensor_store",
         {map, argument(0), constant(rank), coordinates, constant(uint32_t(reduction)), where});
  return true;
}

Error IntrinsicLowering::run() {
  bool known = specialRegister() || barrier() || mbarrier() || fenceOrHint() || warp() || matrix() || bulkCopy() ||
               wgmma() || math() || conversion();
  if (!known)
    return createStringError("in function '" + instruction.getFunction()->getName() + "': intrinsic '" +
                             instruction.getCalledFunction()->getName() + "' is not emulated" +
                             (failure.empty() ? "" : ": " + failure));
  if (!instruction.getType()->isVoidTy()) {
    assert(result && "a value for an intrinsic with a result");
    if (result->getType() != instruction.getType())
      result = RuntimeCalls::convert(builder, result, instruction.getType());
    instruction.replaceAllUsesWith(result);
  }
  instruction.eraseFromParent();
  return Error::success();
}

Error lowerIntrinsics(RuntimeCalls &calls) {
  SmallVector<CallInst *> found;
  for (Function &function : calls.module)
    for (Instruction &instruction : instructions(function))
      if (auto *call = dyn_cast<CallInst>(&instruction))
        if (Function *callee = call->getCalledFunction(); callee && callee->getName().starts_with("llvm.nvvm."))
          found.push_back(call);
  for (CallInst *call : found)
    if (Error error = IntrinsicLowering(calls, *call).run())
      return error;
  return Error::success();
}

} // namespace bpt
