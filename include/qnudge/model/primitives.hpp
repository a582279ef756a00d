// SPDX-License-Identifier: MIT
#pragma once

#include <variant>
#include <vector>

#include "qnudge/model/combine_kind.hpp"
#include "qnudge/model/element_map.hpp"
#include "qnudge/model/geometry.hpp"
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
};

/// combine: an operation on two tensors, element by element. What exists of it so far is the addition of equal shapes.
struct FloatCombine {
  CombineKind kind = CombineKind::add;
};

enum class WindowKind { max, average };

/// window: the largest or the mean element of each channel under a sliding window. Padding is never the largest.
struct FloatWindow {
  WindowKind kind = WindowKind::max;
  Window window;
  bool count_include_pad = false;  ///< average: padding counts in the divisor
};

/// move: elements elsewhere, no arithmetic. With the identity map data stays NHWC and ONNX alone sees [N, C*H*W].
struct FloatMove {
  ElementMap map;
};

using FloatPrimitive =
    std::variant<FloatInput, FloatLayer, FloatBatchNorm, FloatTable, FloatCombine, FloatWindow, FloatMove>;

}  // namespace qnudge
