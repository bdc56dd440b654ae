// Draws a memory plan. Long steps are drawn in columns; a column shows the fullest moment in it, so the peak is exact.
#include "bpt/Runtime/MemoryPlot.h"
#include "Chart.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>

namespace bpt {

namespace {

constexpr int64_t mostColumns = 400;
constexpr size_t namedBuffers = 14;

// Okabe & Ito's palette, then tints of it.
const char *const palette[] = {"#0072b2", "#56b4e9", "#009e73", "#e69f00", "#d55e00", "#cc79a7",
                               "#999999", "#f0e442", "#66a3cc", "#66c5ab", "#f0c566", "#e0a8c5"};

/// One vertical slice of the plot.
struct Column {
  int64_t begin, end, shown; ///< times [begin, end), and the fullest of them
  std::vector<double> bytes; ///< by kind
};

struct Memory {
  std::vector<PlannedSlot> slots; ///< `always` first
  std::vector<std::string> kinds; ///< bottom first
  std::vector<size_t> kindOf;     ///< of each slot
  std::vector<Column> columns;
  int64_t peakTime = 0;
  double peakBytes = 0;

  bool alive(size_t slot, int64_t time) const { return slots[slot].first <= time && time <= slots[slot].last; }
  std::string colour(size_t kind) const { return palette[kind % std::size(palette)]; }

  /// Slots alive at `time`, largest first.
  std::vector<size_t> aliveAt(int64_t time) const {
    std::vector<size_t> result;
    for (size_t i = 0; i < slots.size(); ++i)
      if (alive(i, time) && slots[i].bytes > 0)
        result.push_back(i);
    std::sort(result.begin(), result.end(), [&](size_t a, size_t b) {
      return slots[a].bytes != slots[b].bytes ? slots[a].bytes > slots[b].bytes : a < b;
    });
    return result;
  }
};

void orderKinds(Memory &memory, size_t alwaysCount) {
  std::map<std::string, double> weight;
  for (size_t i = 0; i < memory.slots.size(); ++i) {
    const PlannedSlot &slot = memory.slots[i];
    // What lives throughout is the ground the rest stands on.
    double lifetime = i < alwaysCount ? 1e30 : static_cast<double>(slot.last - slot.first + 1);
    weight[slot.kind] += static_cast<double>(slot.bytes) * lifetime;
  }
  for (const auto &entry : weight)
    memory.kinds.push_back(entry.first);
  std::sort(memory.kinds.begin(), memory.kinds.end(), [&](const std::string &a, const std::string &b) {
    return weight[a] != weight[b] ? weight[a] > weight[b] : a < b;
  });
  for (const PlannedSlot &slot : memory.slots)
    memory.kindOf.push_back(
        static_cast<size_t>(std::find(memory.kinds.begin(), memory.kinds.end(), slot.kind) - memory.kinds.begin()));
}

/// Bytes alive at each time, from the starts and ends of slots.
std::vector<int64_t> totals(const std::vector<PlannedSlot> &slots, int64_t times) {
  std::vector<int64_t> change(static_cast<size_t>(times) + 1, 0);
  for (const PlannedSlot &slot : slots) {
    change[static_cast<size_t>(slot.first)] += slot.bytes;
    change[static_cast<size_t>(slot.last) + 1] -= slot.bytes;
  }
  for (size_t t = 1; t < change.size(); ++t)
    change[t] += change[t - 1];
  change.pop_back();
  return change;
}

Memory measure(const Plan &plan, const std::vector<PlannedSlot> &always) {
  int64_t times = 1;
  for (const PlannedSlot &slot : plan.slots)
    times = std::max(times, slot.last + 1);
  Memory memory;
  memory.slots = always;
  for (PlannedSlot &slot : memory.slots)
    slot.first = 0, slot.last = times - 1;
  std::copy_if(plan.slots.begin(), plan.slots.end(), std::back_inserter(memory.slots),
               [](const PlannedSlot &slot) { return !slot.isOnHost(); });
  orderKinds(memory, always.size());
  std::vector<int64_t> total = totals(memory.slots, times);
  memory.peakTime = std::max_element(total.begin(), total.end()) - total.begin();
  memory.peakBytes = static_cast<double>(total[static_cast<size_t>(memory.peakTime)]);
  int64_t count = std::min(times, mostColumns);
  for (int64_t c = 0; c < count; ++c) {
    Column column{c * times / count, (c + 1) * times / count, 0, std::vector<double>(memory.kinds.size())};
    column.shown = std::max_element(total.begin() + column.begin, total.begin() + column.end) - total.begin();
    for (size_t i = 0; i < memory.slots.size(); ++i)
      if (memory.alive(i, column.shown))
        column.bytes[memory.kindOf[i]] += static_cast<double>(memory.slots[i].bytes);
    memory.columns.push_back(std::move(column));
  }
  return memory;
}

void drawAreas(Chart &chart, const Memory &memory) {
  std::vector<double> floor(memory.columns.size(), 0);
  for (size_t kind = 0; kind < memory.kinds.size(); ++kind) {
    Chart::Points top, bottom;
    for (size_t c = 0; c < memory.columns.size(); ++c) {
      const Column &column = memory.columns[c];
      auto x0 = static_cast<double>(column.begin), x1 = static_cast<double>(column.end);
      bottom.insert(bottom.end(), {{x0, floor[c]}, {x1, floor[c]}});
      floor[c] += column.bytes[kind];
      top.insert(top.end(), {{x0, floor[c]}, {x1, floor[c]}});
    }
    top.insert(top.end(), bottom.rbegin(), bottom.rend());
    chart.area(top, memory.colour(kind));
  }
}

std::string shortened(const std::string &name, size_t most) {
  return name.size() <= most ? name : name.substr(0, most - 3) + "...";
}

void drawHover(Chart &chart, const Memory &memory) {
  for (const Column &column : memory.columns) {
    double sum = 0;
    for (double bytes : column.bytes)
      sum += bytes;
    std::string text = fmt::format("position {}: {} alive", column.shown, formatBytes(static_cast<int64_t>(sum)));
    std::vector<size_t> alive = memory.aliveAt(column.shown);
    for (size_t i = 0; i < alive.size() && i < 6; ++i)
      text += fmt::format("\n{}  {}", formatBytes(memory.slots[alive[i]].bytes),
                          shortened(memory.slots[alive[i]].name, 80));
    chart.hoverColumn(static_cast<double>(column.begin), static_cast<double>(column.end), text);
  }
}

void drawLists(Chart &chart, const Memory &memory) {
  double x = chart.frame().width - chart.frame().right + 20, y = chart.frame().top + 6;
  chart.note(x, y, "kinds at the peak", true);
  std::vector<size_t> alive = memory.aliveAt(memory.peakTime);
  for (size_t kind = memory.kinds.size(); kind-- > 0;) {
    int64_t bytes = 0;
    for (size_t i : alive)
      bytes += memory.kindOf[i] == kind ? memory.slots[i].bytes : 0;
    chart.legend(x, y += 18, memory.colour(kind), fmt::format("{}  {}", memory.kinds[kind], formatBytes(bytes)));
  }
  chart.note(x, y += 30, "alive at the peak", true);
  for (size_t i = 0; i < alive.size() && i < namedBuffers; ++i) {
    const PlannedSlot &slot = memory.slots[alive[i]];
    chart.legend(x, y += 18, memory.colour(memory.kindOf[alive[i]]),
                 fmt::format("{}  {}", formatBytes(slot.bytes), shortened(slot.name, 40)));
  }
  if (alive.size() > namedBuffers)
    chart.note(x, y + 18, fmt::format("and {} smaller ones", alive.size() - namedBuffers));
}

} // namespace

std::string memoryPlot(const std::string &title, const Plan &plan, const std::vector<PlannedSlot> &always) {
  Memory memory = measure(plan, always);
  // Ticks are round in the unit they are written in.
  double unit = 1;
  while (memory.peakBytes / unit >= 1024)
    unit *= 1024;
  std::vector<double> yTicks = roundTicks(0, memory.peakBytes / unit, 6);
  auto end = static_cast<double>(memory.columns.back().end);
  Chart::Frame frame;
  frame.width = 1160, frame.right = 320;
  frame.height = std::max(520.0, 190.0 + 18.0 * static_cast<double>(memory.kinds.size() + namedBuffers));
  Chart chart(title, frame, {0, end}, {0, std::max(yTicks.back() * unit, memory.peakBytes * 1.06)});
  std::vector<std::pair<double, std::string>> xs, ys;
  for (double t : roundTicks(0, end, 8))
    if (t <= end && t == std::floor(t))
      xs.emplace_back(t, fmt::format("{:.0f}", t));
  for (double t : yTicks)
    ys.emplace_back(t * unit,
                    fmt::format("{:g} {}", t, unit == 1 ? "B" : formatBytes(static_cast<int64_t>(unit)).substr(5)));
  drawAreas(chart, memory);
  chart.xAxis("position in the step, in program order", xs);
  chart.yAxis("bytes alive", ys);
  double peakX = static_cast<double>(memory.peakTime) + 0.5;
  chart.vertical(peakX, "#333");
  chart.horizontal(memory.peakBytes, "#333");
  chart.label(
      peakX, memory.peakBytes,
      fmt::format("peak {} at position {}", formatBytes(static_cast<int64_t>(memory.peakBytes)), memory.peakTime),
      peakX > end / 2 ? "end" : "start");
  drawHover(chart, memory);
  drawLists(chart, memory);
  return chart.svg();
}

} // namespace bpt
