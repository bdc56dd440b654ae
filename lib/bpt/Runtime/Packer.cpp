// Greedy placement in several orders, then a bounded search around the best one. The amount of work is counted, not
// timed, so that the result never depends on the machine.
#include "bpt/Runtime/Packer.h"
#include <algorithm>
#include <limits>
#include <numeric>

namespace bpt {

namespace {

/// Blocks looked at in all placements together: about a second for 10,000 intervals, nothing for a few hundred.
constexpr int64_t workLimit = 400000000;
/// Placements tried after the greedy orders.
constexpr int searchSteps = 400;

enum class Fit { First, Best };
using Order = std::vector<uint32_t>;

struct Block {
  int64_t offset;
  int64_t end;
  int64_t first;
  int64_t last;
};

struct Placement {
  std::vector<int64_t> offsets;
  int64_t arenaBytes = std::numeric_limits<int64_t>::max();
};

/// Places intervals one by one into the lowest (first fit) or tightest (best fit) gap left by those alive with them.
class Placer {
public:
  explicit Placer(const std::vector<Interval> &intervals) : intervals(intervals) { placed.reserve(intervals.size()); }

  /// Gives up as soon as the arena would reach `limit` bytes: the result then has arenaBytes of at least that.
  Placement place(const Order &order, Fit fit, int64_t limit) {
    Placement result;
    result.offsets.assign(intervals.size(), 0);
    result.arenaBytes = 0;
    placed.clear();
    for (uint32_t index : order) {
      const Interval &interval = intervals[index];
      int64_t offset = findOffset(interval, fit);
      Block block = {offset, offset + interval.bytes, interval.first, interval.last};
      auto position = std::upper_bound(placed.begin(), placed.end(), offset,
                                       [](int64_t value, const Block &other) { return value < other.offset; });
      placed.insert(position, block);
      result.offsets[index] = offset;
      result.arenaBytes = std::max(result.arenaBytes, block.end);
      if (result.arenaBytes >= limit)
        break;
    }
    return result;
  }

  int64_t workDone() const { return work; }

private:
  int64_t findOffset(const Interval &interval, Fit fit) {
    int64_t top = 0; // no block alive with this one reaches above it, as far as seen
    int64_t bestOffset = -1;
    int64_t bestGap = std::numeric_limits<int64_t>::max();
    for (const Block &block : placed) {
      ++work;
      if (block.last < interval.first || interval.last < block.first)
        continue;
      int64_t gap = block.offset - top;
      if (gap >= interval.bytes && gap < bestGap) {
        if (fit == Fit::First)
          return top;
        bestGap = gap;
        bestOffset = top;
      }
      top = std::max(top, block.end);
    }
    return bestOffset >= 0 ? bestOffset : top;
  }

  const std::vector<Interval> &intervals;
  std::vector<Block> placed; // sorted by offset
  int64_t work = 0;
};

/// The intervals with bytes, sorted by each of the keys that greedy packers are known to do well with.
std::vector<Order> greedyOrders(const std::vector<Interval> &intervals) {
  Order base;
  for (size_t i = 0; i < intervals.size(); ++i)
    if (intervals[i].bytes > 0)
      base.push_back(static_cast<uint32_t>(i));
  auto length = [&](uint32_t i) { return static_cast<double>(intervals[i].last) - intervals[i].first + 1; };
  auto size = [&](uint32_t i) { return intervals[i].bytes; };
  auto area = [&](uint32_t i) { return length(i) * static_cast<double>(size(i)); };

  std::vector<Order> orders(4, base);
  // Ties keep the order given, so that the result is the same everywhere.
  std::stable_sort(orders[0].begin(), orders[0].end(), [&](uint32_t a, uint32_t b) {
    return size(a) != size(b) ? size(a) > size(b) : length(a) > length(b);
  });
  std::stable_sort(orders[1].begin(), orders[1].end(), [&](uint32_t a, uint32_t b) { return area(a) > area(b); });
  std::stable_sort(orders[2].begin(), orders[2].end(), [&](uint32_t a, uint32_t b) {
    return length(a) != length(b) ? length(a) > length(b) : size(a) > size(b);
  });
  std::stable_sort(orders[3].begin(), orders[3].end(), [&](uint32_t a, uint32_t b) {
    return intervals[a].first != intervals[b].first ? intervals[a].first < intervals[b].first : size(a) > size(b);
  });
  return orders;
}

/// A small fixed generator (xorshift64*): the search must be the same on every machine.
class Random {
public:
  size_t below(size_t bound) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return static_cast<size_t>((state * 0x2545f4914f6cdd1dULL) >> 32) % bound;
  }

private:
  uint64_t state = 0x9e3779b97f4a7c15ULL;
};

/// Moves a block that touches the top of the arena to an earlier turn; keeps what is not worse.
void improve(Placer &placer, const std::vector<Interval> &intervals, Order order, Fit fit, Placement &best,
             int64_t lowerBound) {
  Random random;
  for (int step = 0; step < searchSteps && best.arenaBytes > lowerBound && placer.workDone() < workLimit; ++step) {
    std::vector<size_t> critical;
    for (size_t turn = 1; turn < order.size(); ++turn)
      if (best.offsets[order[turn]] + intervals[order[turn]].bytes == best.arenaBytes)
        critical.push_back(turn);
    // Every few steps another block moves, which gets the search out of a dead end.
    size_t turn =
        critical.empty() || step % 4 == 3 ? random.below(order.size()) : critical[random.below(critical.size())];
    Order candidate = order;
    auto from = candidate.begin() + static_cast<ptrdiff_t>(turn);
    std::rotate(candidate.begin() + static_cast<ptrdiff_t>(random.below(turn + 1)), from, from + 1);
    Placement placement = placer.place(candidate, fit, best.arenaBytes + 1);
    if (placement.arenaBytes <= best.arenaBytes) {
      best = std::move(placement);
      order = std::move(candidate);
    }
  }
}

/// Fills in lowerBound and peakTime by walking over the starts and ends in time.
void findLowerBound(const std::vector<Interval> &intervals, Packing &packing) {
  struct Event {
    int64_t time;
    bool start;
    int64_t bytes;
  };
  std::vector<Event> events;
  for (const Interval &interval : intervals) {
    events.push_back({interval.first, true, interval.bytes});
    events.push_back({interval.last, false, interval.bytes});
  }
  // Both ends belong to the lifetime: at one time, starts come before ends.
  std::stable_sort(events.begin(), events.end(), [](const Event &a, const Event &b) {
    return a.time != b.time ? a.time < b.time : a.start && !b.start;
  });
  int64_t alive = 0;
  for (const Event &event : events) {
    alive += event.start ? event.bytes : -event.bytes;
    if (alive > packing.lowerBound) {
      packing.lowerBound = alive;
      packing.peakTime = event.time;
    }
  }
}

} // namespace

Expected<int64_t> alignedSize(int64_t bytes) {
  if (bytes < 0)
    return badInput("expected a size of at least 0 bytes, but got " + std::to_string(bytes));
  if (bytes > std::numeric_limits<int64_t>::max() - (arenaAlignment - 1))
    return badInput("a size of " + std::to_string(bytes) + " bytes does not fit in 63 bits once aligned");
  return (bytes + arenaAlignment - 1) / arenaAlignment * arenaAlignment;
}

Expected<Packing> packIntervals(const std::vector<Interval> &given, PackEffort effort) {
  std::vector<Interval> intervals = given;
  int64_t total = 0;
  for (size_t i = 0; i < intervals.size(); ++i) {
    std::string name = "buffer " + std::to_string(i);
    if (intervals[i].last < intervals[i].first)
      return badInput(name + ": expected a lifetime that does not end before it starts, but got " +
                      std::to_string(intervals[i].first) + " to " + std::to_string(intervals[i].last));
    Expected<int64_t> size = alignedSize(intervals[i].bytes);
    if (!size)
      return size.error().in(name);
    intervals[i].bytes = *size;
    // No placement is higher than all buffers on top of each other, so offsets cannot overflow either.
    if (__builtin_add_overflow(total, *size, &total))
      return badInput("the buffers together do not fit in 63 bits");
  }

  Packing packing;
  findLowerBound(intervals, packing);
  if (effort == PackEffort::Bound) {
    packing.offsets.assign(intervals.size(), 0);
    packing.arenaBytes = packing.lowerBound;
    return packing;
  }
  Placer placer(intervals);
  Placement best;
  Order bestOrder;
  Fit bestFit = Fit::First;
  for (const Order &order : greedyOrders(intervals)) {
    for (Fit fit : {Fit::First, Fit::Best}) {
      // The first order always runs to its end; later ones only while there is work left.
      if (best.arenaBytes <= packing.lowerBound || placer.workDone() > workLimit)
        continue;
      Placement placement = placer.place(order, fit, best.arenaBytes);
      if (placement.arenaBytes >= best.arenaBytes)
        continue;
      best = std::move(placement);
      bestOrder = order;
      bestFit = fit;
    }
  }
  improve(placer, intervals, bestOrder, bestFit, best, packing.lowerBound);
  packing.offsets = std::move(best.offsets);
  packing.arenaBytes = best.arenaBytes;
  return packing;
}

} // namespace bpt
