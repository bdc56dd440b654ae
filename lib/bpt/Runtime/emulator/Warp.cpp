// Meetings of the lanes of a warp.
#include "Block.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace bpt::emulator {

static const char *nameOf(Collective kind) {
  static const char *const names[] = {"bar.warp.sync", "shfl.sync.up",     "shfl.sync.down", "shfl.sync.bfly",
                                      "shfl.sync.idx", "elect.sync",       "vote.sync.all",  "vote.sync.any",
                                      "vote.sync.uni", "vote.sync.ballot", "match.any.sync", "match.all.sync",
                                      "redux.sync",    "stmatrix",         "ldmatrix",       "setmaxnreg"};
  return names[int(kind)];
}

void Warps::reset(uint32_t warps) {
  meetings.resize(std::max<size_t>(meetings.size(), warps));
  for (auto &list : meetings)
    for (Meeting &meeting : list)
      meeting.open = false, meeting.left = 0;
  ended.assign(maxWarps, 0);
  if (uint32_t rest = block.threadCount() % 32)
    ended[warps - 1] = ~0u << rest;
}

std::string Warps::describe(uint32_t warp) const {
  std::string text = "its warp in";
  for (const Meeting &meeting : meetings[warp])
    if (meeting.open)
      text += fmt::format(" {} (lanes {:#x} of {:#x} arrived)", nameOf(meeting.kind), meeting.arrived, meeting.mask);
  return text;
}

void Warps::close(uint32_t warp, Meeting &meeting) {
  meeting.open = false;
  meeting.left = meeting.arrived;
  if (meeting.kind == Collective::Sync) {
    for (uint32_t lane = 0; lane < 32; ++lane)
      if (meeting.arrived >> lane & 1)
        block.ordering.release(warp * 32 + lane, Ordering::warpBarrier(warp));
    block.ordering.publish(Ordering::warpBarrier(warp));
  }
  block.progress();
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (uint32_t thread = warp * 32 + lane; meeting.arrived >> lane & 1 && &block.threads[thread] != &block.self())
      block.wake(thread);
}

const uint64_t *Warps::exchange(Collective kind, uint32_t mask, uint64_t value, bool aligned, const char *where) {
  Thread &self = block.self();
  uint32_t warp = self.index / 32, lane = self.index % 32;
  if (!(mask >> lane & 1))
    block.fail(ReportKind::DivergentCollective, where,
               fmt::format("lane {} is not in its own member mask {:#x}", lane, mask));
  std::vector<Meeting> &list = meetings[warp];
  if (list.empty())
    list.reserve(64); // results are pointers into it
  Meeting *meeting = nullptr, *idle = nullptr;
  for (Meeting &other : list) {
    if (other.open && other.mask == mask && !(other.arrived >> lane & 1))
      meeting = &other;
    else if (!other.open && other.left >> lane & 1)
      other.left &= ~(1u << lane); // this lane is done with the results of its last meeting
    if (!other.open && !other.left)
      idle = &other;
  }
  if (!meeting) {
    if (!idle) {
      if (list.size() == list.capacity())
        block.fail(ReportKind::DivergentCollective, where, "lanes of the warp are in too many different collectives");
      idle = &list.emplace_back();
    }
    meeting = idle;
    meeting->open = true;
    meeting->kind = kind;
    meeting->mask = mask;
    meeting->arrived = 0;
    meeting->where = where;
  } else if (meeting->kind != kind) {
    block.fail(ReportKind::DivergentCollective, where,
               fmt::format("lane {} is in {} while others of its warp are in {} [{}]", lane, nameOf(kind),
                           nameOf(meeting->kind), meeting->where));
  } else if (aligned && strcmp(meeting->where, where) != 0) {
    block.report(
        ReportKind::DivergentCollective, where,
        fmt::format("lane {} is at a different {} than others of its warp [{}]", lane, nameOf(kind), meeting->where));
  }
  meeting->values[lane] = value;
  meeting->arrived |= 1u << lane;
  if (((meeting->arrived | ended[warp]) & mask) == mask)
    close(warp, *meeting);
  else
    block.suspend(Waiting::Warp, warp, where);
  if (kind == Collective::Sync)
    block.ordering.acquire(self.index, Ordering::warpBarrier(warp));
  return meeting->values;
}

void Warps::threadEnded(uint32_t thread) {
  uint32_t warp = thread / 32;
  ended[warp] |= 1u << thread % 32;
  for (Meeting &meeting : meetings[warp]) {
    meeting.left &= ~(1u << thread % 32);
    if (meeting.open && ((meeting.arrived | ended[warp]) & meeting.mask) == meeting.mask)
      close(warp, meeting);
  }
}

} // namespace bpt::emulator
