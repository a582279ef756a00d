// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

#include "qnudge/core/half.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// What tensors between nodes hold.
enum class Activations { int8, half };

constexpr int kHalfBits = 16;

/// What a grid decides for one layer; everything a backend needs to run it.
struct LayerParams {
  int bits = 8;
  /// [K, R, S, C] in [-2^(bits-1), 2^(bits-1) - 1]; empty where bits is kHalfBits: weights are not quantised but halves
  /// (half_filter), with half activations only.
  std::vector<std::int8_t> codes;
  std::vector<float> scale;        ///< [K] > 0, grid step: weight = code * scale[k]
  std::vector<std::int32_t> bias;  ///< [K] on the accumulator's grid
  std::vector<float> multiplier;   ///< [K] > 0, m[k] = scale * gain * s_x / s_out, rounded once
  /// [K] 1: constant channel: codes 0, never mutated; bias * multiplier alone is its value, and the multiplier is a
  /// power of two that has nothing to do with `scale`.
  std::vector<std::uint8_t> frozen;
  friend bool operator==(const LayerParams&, const LayerParams&) = default;
};

/// One node with weights. Its real function: y[k] = gain[k] * sum(w[k] * x) + shift[k], BatchNorm included, gain >= 0
/// (a negative BatchNorm scale has moved its sign into the weights; gain 0 makes a constant channel).
struct Layer {
  std::string name;
  int node = 0;  ///< index into IntNetwork::nodes
  ConvGeometry conv;
  FilterShape filter;
  Shape in, out;
  bool gemm = false;
  /// The input is 0 on all calibration images, but on a scale at which the bias would lose half a step of the output:
  /// every channel is its shift, whatever its weights.
  bool constant = false;
  bool tunable = true;              ///< false: a stand-alone BatchNorm as 1x1 depthwise convolution; codes are +-1
  std::vector<float> weights;       ///< [K, R, S, C / groups]
  std::vector<double> gain, shift;  ///< [K]
  LayerParams params;

  std::int64_t macs() const { return out.h * out.w * filter.size(); }  ///< per sample
};

/// What a node of the integer network can be, see model/primitives.hpp; what follows from exponents is set by
/// `set_exponents`.
struct IntInput {
  friend bool operator==(const IntInput&, const IntInput&) = default;
};

struct IntLayer {
  int layer = 0;  ///< index into IntNetwork::layers
  friend bool operator==(const IntLayer&, const IntLayer&) = default;
};

/// A function of codes as a table; without steps it is the node's bounds alone, and there is no table.
struct IntTable {
  ScalarFunction function;
  ChannelValues parameters;        ///< [parameter of the function][C]; without any all channels share one table
  std::vector<std::int8_t> codes;  ///< [256], indexed by input code + 128, or [C, 256]
  std::vector<Half> halves;        ///< half activations: [65536], indexed by the input's bits, or [C, 65536]
  friend bool operator==(const IntTable&, const IntTable&) = default;
};

struct IntCombine {
  CombineKind kind = CombineKind::add;
  bool broadcast = false;       ///< an operand is repeated along an axis
  std::vector<float> constant;  ///< see FloatCombine
  Shape constant_shape;
  bool constant_first = false;
  float multiplier_a = 1, multiplier_b = 1;  ///< per operand, powers of two; of products and quotients a alone
  std::vector<std::int8_t> codes;            ///< int8 activations: the constant in units of 2^constant_exponent
  std::vector<Half> halves;                  ///< half activations: the same
  int constant_exponent = 0;                 ///< so that the largest constant fits
  /// A sum of two inputs of the node's shape.
  bool plain_sum() const { return kind == CombineKind::add && !broadcast && constant.empty(); }
  /// Of all that a backend sees: what the constant was before rounding does not count.
  friend bool operator==(const IntCombine& a, const IntCombine& b) {
    const auto seen = [](const IntCombine& c) {
      return std::tie(c.kind, c.broadcast, c.constant_shape, c.constant_first, c.multiplier_a, c.multiplier_b, c.codes,
                      c.halves, c.constant_exponent);
    };
    return seen(a) == seen(b);
  }
};

struct IntWindow {
  WindowKind kind = WindowKind::max;
  Window window;
  bool count_include_pad = false;  ///< average: false divides by the taps inside the image
  float multiplier = 1;            ///< average: for the one divisor, if all windows share it, else r * s
  friend bool operator==(const IntWindow&, const IntWindow&) = default;
};

struct IntMove {
  ElementMap map;
  friend bool operator==(const IntMove&, const IntMove&) = default;
};

struct IntMix {
  FloatMix mix;
  friend bool operator==(const IntMix&, const IntMix&) = default;
};

struct IntProduct {
  FloatProduct product;
  float multiplier = 1;  ///< scale times s_a * s_b / s_out, rounded once
  friend bool operator==(const IntProduct&, const IntProduct&) = default;
};

struct IntNormalise {
  FloatNormalise normalise;
  /// softmax of codes: [256] exp(-d * s_x) in units of 2^-30, rounded once; empty for others.
  std::vector<std::int32_t> exponentials;
  friend bool operator==(const IntNormalise&, const IntNormalise&) = default;
};

using IntPrimitive =
    std::variant<IntInput, IntLayer, IntTable, IntCombine, IntWindow, IntMove, IntMix, IntProduct, IntNormalise>;

struct IntNode {
  IntPrimitive what;
  std::string name;
  std::vector<int> inputs;  ///< earlier nodes
  Shape shape;
  int exponent = 0;                    ///< scale of the output codes: 2^exponent; unused where the output is float
  std::int8_t low = -128, high = 127;  ///< bounds of the output codes: of a ReLU or Clip absorbed into the node
  int source = 0;                      ///< float graph node that this node's output stands for
  int linear_source = 0;               ///< float graph node of the value before those bounds
  /// Real bounds of a Clip that `low` and `high` encode at this node's exponent; 0: the code stands as lowered (it is 0
  /// or the end of the range at every exponent).
  double clip_low = 0, clip_high = 0;

  /// Index into IntNetwork::layers, -1 for a node without weights.
  int layer() const {
    const auto* const with_weights = std::get_if<IntLayer>(&what);
    return with_weights != nullptr ? with_weights->layer : -1;
  }
  /// Whether the output is the first input's bytes under another name.
  bool view() const {
    const auto* const move = std::get_if<IntMove>(&what);
    return move != nullptr && move->map.identity();
  }
};

/// Integer network: ONNX's QLinear arithmetic pinned down. Every tensor between nodes is int8 codes in NHWC with scale
/// 2^exponent and zero point 0; accumulators are exact int32; all that is float is one fp32 product per element.
///
///   layer    t = float(acc) + float(bias[k]);  code = clamp(rint(t * multiplier[k]), low, high)
///   combine  code = clamp(rint(a * multiplier_a + b * multiplier_b), low, high), and so on: kernels/combine.hpp
///   window   code = clamp(rint(float(sum) * multiplier), -128, 127); a maximum is a code of its input
///   table    code = codes[x + 128], or clamp(x, low, high);  move: codes elsewhere
///   mix      code = rint(sum / 2^22), sum of four codes times integer weights: kernels/mix.hpp
///   product  code = clamp(rint(float(sum) * multiplier), low, high)
///   normalise  exact integer sums, see kernels/normalise.hpp
///   output   t * multiplier[k], max(0, .) if low = 0: fp32, neither rounded nor clamped (only where a layer is the
///            network's output; any other output node is its codes times 2^exponent)
///
/// rint rounds half to even; low is 0 after ReLU and -128 otherwise, high is 127 or the code of a Clip's upper bound.
///
/// With half activations every tensor between nodes is IEEE half in units of 2^exponent: a scale that costs no
/// precision and keeps values where int8 codes would be, only with fractions. What is an int8 code above is then the
/// nearest half (`half_bounds` instead of low and high), and sums are fp32 in any order, so that backends agree but
/// for rounding.
struct IntNetwork {
  std::vector<IntNode> nodes;  ///< topological; nodes[0] is the input
  std::vector<Layer> layers;   ///< in topological order; the index is the layer ordinal of every random draw
  int output = 0;
  bool flatten_output = false;  ///< the float output of a convolution is [N, C*H*W] in ONNX; its bytes stay as they are
  int spatial_rank = 2;
  Ends ends;  ///< what exported files have around it
  std::string input_name, output_name;
  Activations activations = Activations::int8;

  const IntNode& at(int i) const { return nodes[static_cast<std::size_t>(i)]; }
  Layer& layer(int i) { return layers[static_cast<std::size_t>(i)]; }
  const Layer& layer(int i) const { return layers[static_cast<std::size_t>(i)]; }
  std::int64_t output_size() const { return at(output).shape.size(); }
  bool float_output() const { return at(output).layer() >= 0; }
  bool half() const { return activations == Activations::half; }
  /// Bytes of one element of node `i`'s output.
  std::int64_t element_bytes(int i) const { return i == output && float_output() ? 4 : half() ? 2 : 1; }
};

/// Bounds of a node's values in units of 2^exponent, with half activations.
struct HalfBounds {
  float low = -kLargestHalf, high = kLargestHalf;
};
HalfBounds half_bounds(const IntNode& node);

/// Filter of a layer as halves, [K, R, S, C]: its codes, or with kHalfBits its weights in units of params.scale; zeros
/// where a channel is frozen.
std::vector<Half> half_filter(const Layer& layer, const LayerParams& params);

/// What a node does, in one word: "conv", "clamp", "max_pool", ...
std::string_view kind_of(const IntNode& node);

/// Of a node that is the sum of its two inputs within bounds, clamp(rint(a * m[0] + b * m[1]), low, high): m.
std::optional<std::array<float, 2>> sum_multipliers(const IntNode& node);

/// Smallest and largest code of a tensor.
struct CodeBounds {
  int low = -128, high = 127;
};
/// What each node can put out, [nodes].
std::vector<CodeBounds> code_bounds(const IntNetwork& network);

}  // namespace qnudge
