// SPDX-License-Identifier: MIT
#pragma once

#include <array>
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
/// A BatchNorm without a layer before it becomes a 1x1 depthwise convolution with codes +-1. Any other Clip becomes a
/// clamp, as does one with an upper bound behind the layer that would be the output: a float output has none. Nodes
/// that do not reach the output are dropped. Exponents and params are not set yet. Throws Error(kind input) for a layer
/// with C*R*S >= 131072 taps.
IntNetwork lower(const Graph& graph, BatchNormMode batch_norm);

/// Largest |value| of each float graph node over the calibration images: [graph nodes], >= 0.
using Ranges = std::vector<float>;

/// Exponents lie in [-kExponentLimit, kExponentLimit], so that every ratio of two scales is a normal float.
constexpr int kExponentLimit = 60;

/// Exponent of every node: the smallest e with range <= 127 * 2^e, tied together where codes pass through unchanged
/// (max pooling, clamp, view, and all inputs of a concatenation: the largest range); then every multiplier and bound
/// that follows from them. Tensors that are all zero have the largest e <= 0 at which the biases of the layers that
/// read them lose at most 1/16 step of those layers' outputs on any grid; where they are tied to others that are not
/// zero, or e would be out of bounds, and the loss could be more than half a step, Layer::constant is set instead.
/// Sigmoid tables are filled here; their output exponent is -7 unless a concatenation ties them to a larger one. A
/// float output has no exponent (0). Params are not touched: quantise the layers afterwards. Throws Error(kind input)
/// naming the node for a range that is not finite or above 127 * 2^kExponentLimit.
void calibrate(IntNetwork& network, const Ranges& ranges);
/// Squared errors of 8-bit codes of one tensor with scale 2^e, 2^(e-1), 2^(e-2) and 2^(e-3).
using GridErrors = std::array<double, 4>;
/// A float graph node's values on such grids.
struct NodeGrid {
  int node = 0;      ///< float graph node
  int exponent = 0;  ///< e
};
/// What to measure before `choose_exponents`: per integer node its float source and the exponent by range.
std::vector<NodeGrid> activation_grids(const IntNetwork& network);
/// Lowers the exponents by up to three where that gives the smaller squared error: a few large values saturate, and all
/// others gain a bit. `errors`: [nodes], as measured for `activation_grids`; tied nodes are judged by their sum;
/// Sigmoid tables and a float output keep theirs.
void choose_exponents(IntNetwork& network, std::span<const GridErrors> errors);
/// The same from exponents already known, [nodes]. Throws Error(kind input) for a wrong count, an exponent out of range
/// or unequal exponents where codes pass through unchanged.
void set_exponents(IntNetwork& network, std::span<const int> exponents);

/// Grid step per output channel, [K], all equal for `per_layer`. Weights that are all zero have step 1. No step is
/// below 2^-126. Layers that are not tunable have step 1. Throws Error(kind usage) for bits outside 2 to 8.
std::vector<float> grid_scales(const Layer& layer, const Grid& grid);

/// Nearest codes (half to even, clamped) of `layer` on `grid` with the bias and multiplier that its neighbours'
/// exponents demand (at a float output s_out is 1). Constant channels, with a bias in [2^21, 2^22] or 0, are made of
/// those that BatchNorm all but switches off (|bias| >= 2^23), those with gain 0 or all-zero weights, all of a layer
/// that is constant, and those whose multiplier would not be a normal float: |value - bias * multiplier| <= 2^-22
/// |value|, down to 2^-104. Layers that are not tunable get their signs as codes with 2 bits, whatever the grid.
LayerParams quantise_layer(const IntNetwork& network, const Layer& layer, const Grid& grid);

/// The layer's weights as halves, not quantised (kHalfBits), with bias and multiplier as `quantise_layer` has them on
/// an 8-bit grid of one power of two. Layers that are not tunable keep their signs as codes.
LayerParams half_layer(const IntNetwork& network, const Layer& layer);

/// Nearest codes with `factor` times the step of every channel, multipliers to match. Frozen channels, and those whose
/// multiplier would no longer be a normal float, stay.
void rescale(const Layer& layer, double factor, LayerParams& params);

/// A bias as the arithmetic holds it: half to even, saturated at +-(2^23 - 1).
std::int32_t saturated_bias(double value);

/// Bias[k] so that channel k's mean before ReLU is `target_mean[k]` when the mean accumulator (without bias) is
/// `accumulator_mean[k]`, saturated; frozen channels keep theirs.
void correct_bias(const IntNetwork& network, const Layer& layer, std::span<const double> target_mean,
                  std::span<const double> accumulator_mean, LayerParams& params);

/// Worst case of |acc| + |bias| over all channels for inputs at the bounds of their codes (ReLU, Clip and tables before
/// the layer count); exact arithmetic needs < 2^24.
std::int64_t worst_accumulator(const IntNetwork& network, const Layer& layer, const LayerParams& params);
/// The same for any codes that a search may reach within `params.bits`.
std::int64_t worst_reachable_accumulator(const IntNetwork& network, const Layer& layer, const LayerParams& params);

/// Quantises one preprocessed float sample to input codes: clamp(rint(x * 2^-exponent)); NaN becomes 0.
void quantise_input(const IntNetwork& network, std::span<const float> sample, std::span<std::int8_t> codes);

/// The same as halves in units of the input's scale.
void quantise_input(const IntNetwork& network, std::span<const float> sample, std::span<Half> halves);

/// Bytes of all codes packed at their bit widths, plus biases (4 bytes) and multipliers (4 bytes; one per layer where
/// all channels share it, else one per channel).
std::int64_t packed_size_bytes(const IntNetwork& network);

}  // namespace qnudge
