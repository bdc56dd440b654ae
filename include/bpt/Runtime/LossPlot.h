// loss.svg: training and validation loss over the steps.
#pragma once
#include "bpt/Runtime/Metrics.h"
#include <string>
#include <vector>

namespace bpt {

/// The plot as an SVG document. Long curves are averaged down; points tell step and loss when the pointer is on them.
std::string lossPlot(const std::string &title, const std::vector<LossPoint> &training,
                     const std::vector<LossPoint> &validation);

} // namespace bpt
