// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "qnudge/quant/quantise.hpp"

namespace qnudge {

/// Fills `out` ([count, H, W, C] floats) with the samples first .. first + count - 1 of some sequence.
using SampleReader = std::function<void(std::int64_t first, std::int64_t count, std::span<float> out)>;

/// Values of one node at some positions of every sample, rounded to a power-of-two grid.
struct FloatSamples {
  int node = 0;
  int exponent = 0;
  std::int64_t per_image = 0;
  std::span<const std::int32_t> positions;  ///< [count, per_image] y * W + x
  /// Out: [count, per_image, C] value * 2^-exponent, half to even, saturated at +-kTargetLimit; NaN becomes 0.
  std::span<std::int16_t> values;
};

/// Statistics to gather on the way; nullptr members are not gathered.
struct FloatObservation {
  std::vector<float>* ranges = nullptr;  ///< out: [nodes] largest |value|
  /// In: the nodes wanted. Out: per wanted node, [C] mean over samples and positions (double sums in a fixed order,
  /// the same for any thread count).
  std::vector<int> mean_nodes;
  std::vector<std::vector<double>>* means = nullptr;
  /// In: grids to try. Out: their errors over all samples, [grids] (double sums in a fixed order).
  std::vector<NodeGrid> grids;
  std::vector<GridErrors>* grid_errors = nullptr;
  std::vector<FloatSamples> samples;
};

/// One pass of the float network over `count` samples: outputs [count, outputs], NHWC order of the output node.
using FloatPass =
    std::function<std::vector<float>(std::int64_t count, const SampleReader& samples, const FloatObservation& observe)>;

}  // namespace qnudge
