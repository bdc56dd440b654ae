// The lower bound of an entry's arena, as a formula.
#include "bpt/Runtime/Plan.h"
#include <algorithm>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <map>
#include <set>

namespace bpt {

namespace {

/// The slots alive at each time at which one becomes alive, but for sets that are part of another.
std::vector<std::set<size_t>> largestSets(const EntryInfo &entry) {
  std::vector<std::set<size_t>> sets;
  for (const SlotInfo &start : entry.slots) {
    std::set<size_t> alive;
    for (size_t i = 0; i < entry.slots.size(); ++i)
      if (entry.slots[i].first <= start.first && start.first <= entry.slots[i].last && entry.slots[i].kind != "host" &&
          entry.slots[i].bytes.text() != "0")
        alive.insert(i);
    auto contains = [](const std::set<size_t> &a, const std::set<size_t> &b) {
      return std::includes(a.begin(), a.end(), b.begin(), b.end());
    };
    if (std::any_of(sets.begin(), sets.end(), [&](auto &other) { return contains(other, alive); }))
      continue;
    sets.erase(std::remove_if(sets.begin(), sets.end(), [&](auto &other) { return contains(alive, other); }),
               sets.end());
    sets.push_back(alive);
  }
  return sets;
}

} // namespace

std::string formatPlanFormula(const Manifest &manifest, const EntryInfo &entry) {
  std::set<std::string> sums;
  for (const std::set<size_t> &alive : largestSets(entry)) {
    std::map<std::string, int> terms; // equal ones are counted
    int64_t constant = 0;
    for (size_t slot : alive) {
      const Formula &bytes = entry.slots[slot].bytes;
      Expected<int64_t> fixed = bytes.dimsNeeded() == 0 && bytes.text().find("threads") == std::string::npos
                                    ? bytes.evaluate({})
                                    : badInput("");
      if (fixed)
        constant += *fixed;
      else
        ++terms[bytes.infix()];
    }
    std::vector<std::string> texts;
    for (const auto &[term, count] : terms)
      texts.push_back(count == 1 ? term : fmt::format("{} * ({})", count, term));
    if (constant || texts.empty())
      texts.push_back(fmt::format("{}", constant));
    sums.insert(fmt::format("{}", fmt::join(texts, " + ")));
  }
  std::string text = fmt::format(
      "arena of {}: at least {}{} bytes{}\n", entry.name, sums.size() > 1 ? "the largest of\n  " : "",
      fmt::join(sums, "\n  "),
      manifest.threadScratch + manifest.sharedScratch == 0
          ? ""
          : fmt::format("\nand scratch: threads * {} + {}", manifest.threadScratch, manifest.sharedScratch));
  int64_t number = 0;
  for (const ArgumentInfo &argument : entry.arguments)
    for (size_t d = 0; d < argument.shape.size(); ++d)
      if (argument.shape[d] < 0)
        text += fmt::format("d{} is dim {} of {}\n", number++, d, argument.name);
  return text;
}

} // namespace bpt
