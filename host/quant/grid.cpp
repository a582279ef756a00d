// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <limits>

#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

constexpr int kFreeSteps = 200;  // least squares, free scale: fractions of the largest step tried
constexpr int kPow2Steps = 6;    // least squares, power of two: exponents tried below the largest
constexpr int kLloydRefinements = 2;
constexpr int kMinExponent = -126;  // smallest normal float
constexpr double kSmallestStep = std::numeric_limits<float>::min();

/// Half to even and clamped to `bits`. Clamped first, so that adding 1.5 * 2^52 rounds exactly (and without a call).
double nearest(double steps, int bits) {
  constexpr double kMagic = 6755399441055744.0;
  const double high = static_cast<double>((1 << (bits - 1)) - 1);
  return (std::clamp(steps, -high - 1.0, high) + kMagic) - kMagic;
}

double squared_error(std::span<const float> weights, int bits, float step) {
  double sum = 0.0;
  for (const float w : weights) {
    const double error = static_cast<double>(w) -
                         nearest(static_cast<double>(w) / static_cast<double>(step), bits) * static_cast<double>(step);
    sum += error * error;
  }
  return sum;
}

/// Power-of-two step that maps the largest |weight| to about 2^(bits - 1): int_bits = ceil(log2 largest), taken from
/// the float's own exponent; step = 2^-(bits - int_bits - 1).
int pow2_exponent(float largest, int bits) {
  int int_bits = 0;
  const double fraction = std::frexp(static_cast<double>(largest), &int_bits);  // in [1/2, 1)
  if (fraction == 0.5) --int_bits;
  return std::max(int_bits + 1 - bits, kMinExponent);
}

/// Keeps the step with the lowest error, the earlier one on a tie.
class BestStep {
 public:
  BestStep(std::span<const float> weights, int bits) : weights_(weights), bits_(bits) {}
  void offer(double step) {
    const auto rounded = static_cast<float>(std::max(step, kSmallestStep));
    const double error = squared_error(weights_, bits_, rounded);
    if (error < error_) {
      error_ = error;
      step_ = rounded;
    }
  }
  float step() const { return step_; }

 private:
  std::span<const float> weights_;
  int bits_;
  double error_ = std::numeric_limits<double>::infinity();
  float step_ = 1.0f;
};

/// Least-squares step for the codes that `step` gives: sum(w q) / sum(q q); `step` itself if all codes are 0.
double refit(std::span<const float> weights, int bits, float step) {
  double wq = 0.0, qq = 0.0;
  for (const float w : weights) {
    const double q = nearest(static_cast<double>(w) / static_cast<double>(step), bits);
    wq += static_cast<double>(w) * q;
    qq += q * q;
  }
  return qq > 0.0 ? wq / qq : static_cast<double>(step);
}

/// Grid step for weights that share one.
float step_for(std::span<const float> weights, const Grid& grid) {
  float largest = 0.0f;
  for (const float w : weights) largest = std::max(largest, std::abs(w));
  if (largest == 0.0f) return 1.0f;

  BestStep best(weights, grid.bits);
  if (grid.scale == GridScale::pow2) {
    const int top = pow2_exponent(largest, grid.bits);
    if (grid.range == GridRange::max) return static_cast<float>(std::ldexp(1.0, top));
    for (int e = top; e >= std::max(top - kPow2Steps, kMinExponent); --e) best.offer(std::ldexp(1.0, e));
    return best.step();
  }
  const double top = static_cast<double>(largest) / static_cast<double>((1 << (grid.bits - 1)) - 1);
  if (grid.range == GridRange::max) return static_cast<float>(std::max(top, kSmallestStep));
  for (int i = 0; i <= kFreeSteps; ++i) best.offer(top * (1.0 - 0.8 * i / kFreeSteps));
  for (int i = 0; i < kLloydRefinements; ++i) best.offer(refit(weights, grid.bits, best.step()));
  return best.step();
}

}  // namespace

std::vector<float> grid_scales(const Layer& layer, const Grid& grid) {
  require(grid.bits >= 2 && grid.bits <= 8, ErrorKind::usage, "layer '{}': {} bits; 2 to 8 are possible", layer.name,
          grid.bits);
  const auto channels = static_cast<std::size_t>(layer.filter.k), taps = static_cast<std::size_t>(layer.filter.taps());
  const std::span<const float> weights(layer.weights);
  if (!layer.tunable) return std::vector<float>(channels, 1.0f);
  if (grid.scheme == GridScheme::per_layer) return std::vector<float>(channels, step_for(weights, grid));
  std::vector<float> steps;
  for (std::size_t k = 0; k < channels; ++k) steps.push_back(step_for(weights.subspan(k * taps, taps), grid));
  return steps;
}

}  // namespace qnudge
