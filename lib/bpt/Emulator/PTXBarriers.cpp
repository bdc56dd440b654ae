// Barriers, mbarriers, fences and bulk copies in inline PTX (PTX ISA 8.7, 9.7.13 and 9.7.9.25).
#include "InlinePTX.h"
#include "bpt/Runtime/EmulatorABI.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

namespace bpt {

bool PTXBuilder::mbarrier(const PTXStatement &s) {
  if (s.parts[0] != "mbarrier" || s.parts.size() < 2)
    return false;
  if (s.has("shared::cluster"))
    return fail("mbarriers of other blocks of a cluster are not emulated");
  const std::string &action = s.parts[1];
  const auto &o = s.operands;
  if (action == "init" && o.size() == 2) {
    call("bpt_emulated_mbarrier_init", {readAddress(o[0]), read32(o[1]), where});
    return true;
  }
  if (action == "inval" && o.size() == 1) {
    call("bpt_emulated_mbarrier_invalidate", {readAddress(o[0]), where});
    return true;
  }
  if ((action == "expect_tx" || action == "complete_tx") && o.size() == 2) {
    call(action == "expect_tx" ? "bpt_emulated_mbarrier_expect" : "bpt_emulated_mbarrier_complete",
         {readAddress(o[0]), read32(o[1]), where});
    return true;
  }
  if (action == "arrive" || action == "arrive_drop") {
    // [state,] address [, bytes or count]
    size_t address = !o.empty() && o[0].kind != PTXOperand::Address ? 1 : 0;
    if (o.size() <= address)
      return false;
    bool expects = s.has("expect_tx");
    Value *number = o.size() > address + 1 ? read32(o[address + 1]) : nullptr;
    if (expects && !number)
      return fail("expected a number of bytes");
    Value *state = call("bpt_emulated_mbarrier_arrive",
                        {readAddress(o[address]), expects || !number ? constant(1) : number,
                         expects ? number : constant(0), constant(action == "arrive_drop"), where});
    return address ? write(o[0], state) : true;
  }
  if ((action == "try_wait" || action == "test_wait") && o.size() >= 3) {
    Value *done = call(action == "try_wait" ? "bpt_emulated_mbarrier_try_wait" : "bpt_emulated_mbarrier_test_wait",
                       {readAddress(o[1]), read64(o[2]), constant(s.has("parity")), where});
    return write(o[0], builder.CreateIsNotNull(done));
  }
  return false;
}

bool PTXBuilder::barrier(const PTXStatement &s) {
  if ((s.parts[0] != "bar" && s.parts[0] != "barrier") || s.parts.size() < 2)
    return false;
  if (s.has("cluster"))
    return fail("clusters are not emulated");
  const auto &o = s.operands;
  if (s.has("warp")) {
    if (o.size() != 1)
      return false;
    call("bpt_emulated_warp_sync", {read32(o[0]), where});
    return true;
  }
  Value *aligned = constant(s.parts[0] == "bar" || s.has("aligned"));
  if (s.has("sync") && (o.size() == 1 || o.size() == 2)) {
    call("bpt_emulated_barrier_sync", {read32(o[0]), o.size() == 2 ? read32(o[1]) : constant(0), aligned, where});
    return true;
  }
  if (s.has("arrive") && o.size() == 2) {
    call("bpt_emulated_barrier_arrive", {read32(o[0]), read32(o[1]), aligned, where});
    return true;
  }
  return false;
}

bool PTXBuilder::fence(const PTXStatement &s) {
  if (s.parts[0] == "membar") // host threads run one block each, and its fibers one at a time
    return true;
  if (s.parts[0] != "fence" || s.parts.size() < 2)
    return false;
  if (s.parts[1] == "proxy") {
    if (s.has("async"))
      call("bpt_emulated_fence_proxy_async", {where});
    return s.has("async") || s.has("alias") || s.has("tensormap::generic");
  }
  if (s.parts[1] == "mbarrier_init")
    call("bpt_emulated_fence_mbarrier_init", {where});
  return true;
}

bool PTXBuilder::bulkCopy(const PTXStatement &s) {
  using emulator::Reduction;
  bool reduces = s.parts.size() > 2 && s.parts[0] == "cp" && s.parts[1] == "reduce";
  if (s.parts[0] != "cp" || s.parts.size() < 3 || !s.has("bulk"))
    return false;
  const auto &o = s.operands;
  if (s.has("commit_group")) {
    call("bpt_emulated_bulk_commit", {where});
    return true;
  }
  if (s.has("wait_group") && o.size() == 1) {
    call("bpt_emulated_bulk_wait", {read32(o[0]), constant(s.has("read")), where});
    return true;
  }
  if (s.has("multicast::cluster"))
    return fail("multicast is not emulated");
  Reduction reduction = Reduction::None;
  static constexpr StringLiteral reductions[] = {"", "add", "min", "max", "and", "or", "xor", "inc", "dec"};
  if (reduces)
    for (unsigned i = 1; i < std::size(reductions); ++i)
      if (s.has(reductions[i]))
        reduction = Reduction(i);
  bool load = s.has("mbarrier::complete_tx::bytes");
  if (s.has("tensor")) {
    const PTXOperand *tensor = nullptr;
    for (const PTXOperand &operand : o)
      if (operand.kind == PTXOperand::Address && operand.elements.size() > 1)
        tensor = &operand;
    if (!tensor)
      return fail("expected [map, {coordinates}]");
    if (s.has("prefetch")) {
      call("bpt_emulated_tensor_prefetch", {read64(tensor->elements[0]), where});
      return true;
    }
    if (!s.has("tile") && (s.has("im2col") || s.has("tile::gather4") || s.has("tile::scatter4")))
      return fail("only tile mode is emulated");
    const auto &list = tensor->elements[1];
    if (list.kind != PTXOperand::Vector || list.elements.empty() || list.elements.size() > 5)
      return fail("expected 1 to 5 coordinates");
    AllocaInst *coordinates = array(builder.getInt32Ty(), 5);
    for (auto [i, coordinate] : enumerate(list.elements))
      builder.CreateStore(read32(coordinate),
                          builder.CreateConstInBoundsGEP2_64(coordinates->getAllocatedType(), coordinates, 0, i));
    Value *map = read64(tensor->elements[0]), *rank = constant(uint32_t(list.elements.size()));
    if (load && o.size() >= 3)
      call("bpt_emulated_tensor_load", {readAddress(o[0]), readAddress(o[2]), map, rank, coordinates, where});
    else if (s.has("bulk_group") && o.size() >= 2)
      call("bpt_emulated_tensor_store",
           {map, readAddress(o[1]), rank, coordinates, constant(uint32_t(reduction)), where});
    else
      return false;
    return true;
  }
  if (s.has("prefetch"))
    return true;
  if (reduces || o.size() < 3)
    return false;
  if (load && o.size() >= 4)
    call("bpt_emulated_bulk_load", {readAddress(o[0]), readAddress(o[3]), readAddress(o[1]), read32(o[2]), where});
  else if (s.has("bulk_group"))
    call("bpt_emulated_bulk_store", {readAddress(o[0]), readAddress(o[1]), read32(o[2]), where});
  else
    return false;
  return true;
}

} // namespace bpt
