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
};

/// One pass of the float network over `count` samples: outputs [count, outputs], NHWC order of the output node.
using FloatPass =
    std::function<std::vector<float>(std::int64_t count, const SampleReader& samples, const FloatObservation& observe)>;

}  // namespace qnudge
