// memory.svg: what is alive at each moment of a training step.
#pragma once
#include "bpt/Runtime/Plan.h"
#include <string>
#include <vector>

namespace bpt {

/// The plot as an SVG document: bytes alive over the linear time of `plan`, stacked and coloured by kind, the peak
/// marked and its largest buffers named. `always` are buffers that live throughout (parameters, optimizer state); they
/// lie below.
std::string memoryPlot(const std::string &title, const Plan &plan, const std::vector<PlannedSlot> &always);

} // namespace bpt
