// The learning-rate schedule of the training contract.
#include "bpt/Runtime/LearningRate.h"

#include <cmath>

namespace bpt {

double LearningRate::at(int64_t step) const {
  // At s = warmup both formulas give the peak; the first one also covers runs that end within the warm-up.
  if (step <= warmup && warmup > 0)
    return peak * static_cast<double>(step) / static_cast<double>(warmup);
  if (step >= steps)
    return minimum;
  double done = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup);
  return minimum + (peak - minimum) / 2 * (1 + std::cos(M_PI * done));
}

} // namespace bpt
