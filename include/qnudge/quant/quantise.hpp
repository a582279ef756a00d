// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

enum class BatchNormMode { separate, fold };
enum class GridScheme { per_layer, per_channel };
enum class GridScale { pow2, free };
enum class GridRange { max, mse };

/// Which integers stand for which weights. Paper: per_layer, pow2, max (equations 1-3).
struct Grid {
  int bits = 4;  ///< 2 to 8
  GridScheme scheme = GridScheme::per_layer;
  GridScale scale = GridScale::pow2;
  GridRange range = GridRange::max;
  friend bool operator==(const Grid&, const Grid&) = default;
};

/// The integer network's structure: BatchNorm merged into the layer before it (`separate`: as gain and shift, the grid
/// sees raw weights; `fold`: into the weights), ReLU and Clip merged as bounds where the producer has no other reader.
/// A BatchNorm without a layer before it becomes a 1x1 depthwise convolution with codes +-1. Exponents and params are
/// not set yet. Throws Error(kind input) for a layer with C*R*S >= 131072 taps.
IntNetwork lower(const Graph& graph, BatchNormMode batch_norm);

/// Largest |value| of each float graph node over the calibration images: [graph nodes], >= 0.
using Ranges = std::vector<float>;

/// Exponent of every node: the smallest e with range <= 127 * 2^e (all-zero tensors: 0), tied together where codes pass
/// through unchanged (max pooling, clamp, view, and all inputs of a concatenation: the largest); then every multiplier
/// and bound that follows from them. Sigmoid tables are filled here; their output exponent is -7.
void calibrate(IntNetwork& network, const Ranges& ranges);
/// The same from exponents already known, [nodes].
void set_exponents(IntNetwork& network, std::span<const int> exponents);

/// Grid step per output channel, [K].
std::vector<float> grid_scales(const Layer& layer, const Grid& grid);

/// Nearest codes (half to even, clamped) of `layer` on `grid` with the bias and multiplier that its neighbours'
/// exponents demand. Channels that BatchNorm all but switches off (|bias| >= 2^23) become constants.
LayerParams quantise_layer(const IntNetwork& network, const Layer& layer, const Grid& grid);

/// Bias[k] so that channel k's mean before ReLU is `target_mean[k]` when the mean accumulator (without bias) is
/// `accumulator_mean[k]`; frozen channels keep theirs.
void correct_bias(const IntNetwork& network, const Layer& layer, std::span<const double> target_mean,
                  std::span<const double> accumulator_mean, LayerParams& params);

/// Worst case of |acc| + |bias| over all channels for inputs at their bounds; exact arithmetic needs < 2^24.
std::int64_t worst_accumulator(const IntNetwork& network, const Layer& layer, const LayerParams& params);
/// The same for any codes that a search may reach within `params.bits`.
std::int64_t worst_reachable_accumulator(const IntNetwork& network, const Layer& layer, const LayerParams& params);

/// Quantises one preprocessed float sample to input codes: clamp(rint(x * 2^-exponent)).
void quantise_input(const IntNetwork& network, std::span<const float> sample, std::span<std::int8_t> codes);

/// Bytes of all codes packed at their bit widths, plus biases (4 bytes) and scales (4 bytes; one per layer or channel).
std::int64_t packed_size_bytes(const IntNetwork& network);

}  // namespace qnudge
