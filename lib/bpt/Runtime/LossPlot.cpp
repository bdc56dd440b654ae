// Draws loss curves: every step thin, a running mean over it, validation as dots.
#include "bpt/Runtime/LossPlot.h"
#include "Chart.h"
#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

namespace bpt {

static const char *trainingColour = "#0072b2", *validationColour = "#d55e00"; // told apart by colour-blind readers too

/// At most `most` points, each the mean of neighbours.
static std::vector<LossPoint> thinned(const std::vector<LossPoint> &curve, size_t most) {
  if (curve.size() <= most)
    return curve;
  std::vector<LossPoint> result;
  for (size_t i = 0; i < most; ++i) {
    size_t begin = i * curve.size() / most, end = (i + 1) * curve.size() / most;
    double sum = 0;
    for (size_t j = begin; j < end; ++j)
      sum += curve[j].loss;
    result.push_back({curve[(begin + end - 1) / 2].step, sum / static_cast<double>(end - begin)});
  }
  return result;
}

/// Mean over the neighbours within a fiftieth of the run on both sides: follows the curve without lagging behind it.
static Chart::Points runningMean(const std::vector<LossPoint> &curve) {
  size_t reach = curve.size() / 50;
  std::vector<double> sums(curve.size() + 1, 0);
  for (size_t i = 0; i < curve.size(); ++i)
    sums[i + 1] = sums[i] + curve[i].loss;
  Chart::Points points;
  for (size_t i = 0; i < curve.size(); ++i) {
    size_t begin = i - std::min(i, reach), end = std::min(curve.size(), i + reach + 1);
    points.emplace_back(static_cast<double>(curve[i].step),
                        (sums[end] - sums[begin]) / static_cast<double>(end - begin));
  }
  return points;
}

static void drawTraining(Chart &chart, const std::vector<LossPoint> &curve) {
  Chart::Points points;
  for (const LossPoint &p : thinned(curve, 1200))
    points.emplace_back(static_cast<double>(p.step), p.loss);
  bool smooth = curve.size() >= 60;
  chart.line(points, trainingColour, smooth ? 1 : 2, smooth ? 0.35 : 1);
  if (smooth)
    chart.line(runningMean(thinned(curve, 1200)), trainingColour, 2);
  for (const LossPoint &p : thinned(curve, 200))
    chart.dot(static_cast<double>(p.step), p.loss, 0, trainingColour,
              fmt::format("step {}: loss {:.4f}", p.step, p.loss));
}

static void drawValidation(Chart &chart, const std::vector<LossPoint> &curve) {
  Chart::Points points;
  std::vector<LossPoint> few = thinned(curve, 200);
  for (const LossPoint &p : few)
    points.emplace_back(static_cast<double>(p.step), p.loss);
  chart.line(points, validationColour, 2);
  for (const LossPoint &p : few)
    chart.dot(static_cast<double>(p.step), p.loss, 3, validationColour,
              fmt::format("step {}: validation loss {:.4f}", p.step, p.loss));
}

std::string lossPlot(const std::string &title, const std::vector<LossPoint> &training,
                     const std::vector<LossPoint> &validation) {
  double least = std::numeric_limits<double>::infinity(), most = -least, lastStep = 1;
  for (const auto *curve : {&training, &validation})
    for (const LossPoint &p : *curve) {
      lastStep = std::max(lastStep, static_cast<double>(p.step));
      if (std::isfinite(p.loss)) {
        least = std::min(least, p.loss);
        most = std::max(most, p.loss);
      }
    }
  if (!(least <= most))
    least = 0, most = 1;
  if (most - least < 1e-6)
    least -= 0.5, most += 0.5;
  std::vector<double> yTicks = roundTicks(least, most, 6), xTicks = roundTicks(0, lastStep, 8);
  Chart chart(title, {}, {0, lastStep}, {yTicks.front(), yTicks.back()});
  std::vector<std::pair<double, std::string>> xs, ys;
  for (double t : xTicks)
    if (t <= lastStep && t == std::floor(t))
      xs.emplace_back(t, fmt::format("{:.0f}", t));
  for (double t : yTicks)
    ys.emplace_back(t, fmt::format("{:.4g}", std::abs(t) < 1e-12 ? 0 : t));
  chart.xAxis("step", xs);
  chart.yAxis("loss (nats per token)", ys);
  if (!training.empty())
    drawTraining(chart, training);
  if (!validation.empty())
    drawValidation(chart, validation);
  double x = chart.frame().width - chart.frame().right - 150;
  chart.legend(x, 64, trainingColour,
               training.empty() ? "training" : fmt::format("training {:.4f}", training.back().loss));
  if (!validation.empty())
    chart.legend(x, 84, validationColour, fmt::format("validation {:.4f}", validation.back().loss));
  return chart.svg();
}

} // namespace bpt
