// SPDX-License-Identifier: MIT
#include "qnudge/quant/residual.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "qnudge/core/error.hpp"
#include "qnudge/core/fixed_point.hpp"
#include "qnudge/core/philox.hpp"

namespace qnudge {
namespace {

using Steps = std::array<double, kResidualSteps>;

/// exp(8 d - 12) for d = entry / 256: proportional to exp(-(1 - 2 d) / 0.25), largest (1) at the last entry. Whole
/// powers of e are multiplied up, so that the small ones keep the relative accuracy of exp_q30 near 1.
Steps relative_probabilities() {
  const auto exp_of = [](std::int64_t thirty_seconds) {
    return static_cast<double>(exp_q30(-thirty_seconds * (kQ16One / 32))) / static_cast<double>(kQ30One);
  };
  Steps weights;
  double whole = 1.0;
  for (int below = 0; below < kResidualSteps; ++below) {
    if (below > 0 && below % 32 == 0) whole *= exp_of(32);
    weights[static_cast<std::size_t>(kResidualSteps - 1 - below)] = whole * exp_of(below % 32);
  }
  weights[0] = 0.0;
  return weights;
}

/// Factor c with sum count * min(1, c * weight) = wanted. Weights never decrease, so what is capped is a tail: grow it
/// until the rest stays below 1.
double solve_factor(const Steps& counts, const Steps& weights, double wanted) {
  double capped = 0.0, rest = 0.0;
  for (std::size_t i = 0; i < counts.size(); ++i) rest += counts[i] * weights[i];
  double factor = 0.0;
  for (std::size_t top = counts.size(); top-- > 0 && rest > 0.0 && wanted > capped;) {
    factor = (wanted - capped) / rest;
    if (factor * weights[top] <= 1.0) break;
    capped += counts[top];
    rest = 0.0;
    for (std::size_t i = 0; i < top; ++i) rest += counts[i] * weights[i];
  }
  return factor;
}

}  // namespace

std::vector<std::int16_t> residual_targets(const Layer& layer, const LayerParams& params) {
  std::vector<std::int16_t> targets(layer.weights.size());
  const auto taps = static_cast<std::size_t>(layer.filter.taps());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double steps = static_cast<double>(layer.weights[i]) / static_cast<double>(params.scale[i / taps]);
    targets[i] = static_cast<std::int16_t>(std::nearbyint(std::clamp(steps * 256.0, -32768.0, 32767.0)));
  }
  return targets;
}

std::vector<std::uint32_t> residual_thresholds(std::span<const std::int8_t> codes,
                                               std::span<const std::int16_t> targets, double rate,
                                               std::span<const std::uint8_t> frozen) {
  require(rate >= 0.0 && rate <= 1.0, ErrorKind::usage, "mutation rate {}: must lie between 0 and 1", rate);
  require(!frozen.empty() && codes.size() == targets.size() && codes.size() % frozen.size() == 0, ErrorKind::internal,
          "residual thresholds: {} codes, {} targets and {} channels do not fit together", codes.size(), targets.size(),
          frozen.size());
  const std::size_t taps = std::max<std::size_t>(1, codes.size() / frozen.size());
  Steps counts{};
  double total = 0.0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    if (frozen[i / taps] != 0) continue;
    const int distance = std::abs(targets[i] - codes[i] * 256);
    counts[static_cast<std::size_t>(std::min(distance, kResidualSteps - 1))] += 1.0;
    total += 1.0;
  }
  const Steps weights = relative_probabilities();
  const double factor = solve_factor(counts, weights, rate * total);
  std::vector<std::uint32_t> thresholds;
  for (const double weight : weights) {
    const double t = factor * weight * 4294967296.0;
    thresholds.push_back(t >= 4294967295.0 ? 4294967295u : static_cast<std::uint32_t>(t));
  }
  return thresholds;
}

}  // namespace qnudge
