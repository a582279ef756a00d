// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "qnudge/model/combine_kind.hpp"
#include "qnudge/model/element_map.hpp"
#include "qnudge/model/geometry.hpp"
#include "qnudge/model/resize.hpp"
#include "qnudge/model/scalar_function.hpp"

/// What a node of the float graph can be: few primitives that ONNX's many operators are spellings of. All that a
/// primitive means stands in its room, host/primitives/<name>, one facet per layer of the architecture.
namespace qnudge {

/// input: the network's input; the node's name is that of the tensor.
struct FloatInput {};

/// layer: a convolution (transposed ones too, see ConvGeometry), or a matrix product: one whose filter covers its whole
/// input, filter (H, W), output 1 x 1.
struct FloatLayer {
  ConvGeometry conv;
  FilterShape filter;
  std::vector<float> weights;  ///< [K, R, S, C / groups]
  std::vector<float> bias;     ///< [K], zeros when the model has none
  bool gemm = false;           ///< a matrix product
};

/// layer, second spelling: BatchNormalization, merged into a layer by lowering. y = x * scale + shift.
struct FloatBatchNorm {
  std::vector<float> scale, shift;  ///< [C] gamma / sqrt(var + eps), beta - mean * scale
};

/// table: a function of each element alone.
struct FloatTable {
  ScalarFunction function;
  ChannelValues parameters;  ///< [parameter of the function][C]
};

/// combine: an operation on two tensors, element by element; an axis of extent 1 is repeated along the other's.
struct FloatCombine {
  CombineKind kind = CombineKind::add;
  std::vector<float> constant;  ///< an operand instead of a second input, NHWC; empty: none
  Shape constant_shape;
  bool constant_first = false;  ///< it is the first operand
};

enum class WindowKind { max, average, sum };

/// window: the largest, the mean or the sum of the elements of each channel under a sliding window. Padding is never
/// the largest. A sum's window is all of the axis or one element of it.
struct FloatWindow {
  WindowKind kind = WindowKind::max;
  Window window;
  bool count_include_pad = false;  ///< average: padding counts in the divisor
};

/// move: elements elsewhere, no arithmetic. With the identity map data stays NHWC and ONNX alone sees [N, C*H*W].
struct FloatMove {
  ElementMap map;
};

/// mix: linear interpolation along height and width; ONNX's Resize.
struct FloatMix {
  ResizeCoordinates coordinates = ResizeCoordinates::half_pixel;  ///< not those for nearest elements
  float scale_h = 1, scale_w = 1;                                 ///< see ResizeAxis::resized
  friend bool operator==(const FloatMix&, const FloatMix&) = default;
};

/// product: the matrix product of two activations, `batch` times. a is [batch, rows, depth], b [batch, depth, columns],
/// or with `b_rows` [batch, columns, depth]: the last axis is the channels, the others are the pixels in their order.
/// Out: the pixels of a, `columns` channels.
struct FloatProduct {
  std::int64_t batch = 1;
  bool b_rows = false;
  float scale = 1;  ///< of every element of the result
  friend bool operator==(const FloatProduct&, const FloatProduct&) = default;
};

enum class NormaliseKind {
  softmax,
  standard,          ///< (x - mean) / sqrt(variance + epsilon) * gain + shift
  root_mean_square,  ///< x / sqrt(mean of x^2 + epsilon) * gain + shift
};

/// normalise: groups of elements, each by its own sum. A group is all channels of a pixel, or with `area` `channels`
/// channels next to each other of all pixels.
struct FloatNormalise {
  NormaliseKind kind = NormaliseKind::softmax;
  bool area = false;
  std::int64_t channels = 0;  ///< that divide C; without `area` C itself
  float epsilon = 0;
  std::vector<float> gain, shift;  ///< [C]; of a softmax none
  friend bool operator==(const FloatNormalise&, const FloatNormalise&) = default;
};

using FloatPrimitive = std::variant<FloatInput, FloatLayer, FloatBatchNorm, FloatTable, FloatCombine, FloatWindow,
                                    FloatMove, FloatMix, FloatProduct, FloatNormalise>;

}  // namespace qnudge
