// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"

namespace qnudge {

/// Operators of the float graph. Import reduces ONNX to these: Gemm and MatMul with constant weights become `gemm`,
/// GlobalAveragePool and spatial ReduceMean become `average_pool`, Clip(0, inf) becomes `relu`, Reshape to [N, -1]
/// becomes `flatten`; Identity and Dropout vanish, Constants are folded into their readers.
enum class Op {
  input,
  conv,  ///< also transposed convolution, see ConvGeometry
  gemm,  ///< a convolution whose filter covers its whole input: filter (H, W), output 1 x 1
  batch_norm,
  relu,
  clip,
  sigmoid,
  add,
  concat,  ///< along channels
  max_pool,
  average_pool,
  flatten,  ///< a view: data stays NHWC, only ONNX sees [N, C*H*W]
};

const char* to_string(Op op);

/// A sliding window. Padding may be asymmetric.
struct Window {
  std::int64_t r = 1, s = 1;  ///< extent (height, width)
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

/// Convolution as correlation over an input that is first spread by `spread` (input[i] lands at i * spread, zeros
/// between). An ordinary convolution has spread 1. ONNX's ConvTranspose of stride s is the window of stride 1 over the
/// input spread by s with the flipped filter and padding dilation * (R - 1) - pad (which may be negative: cropping);
/// weights are stored flipped, so that every later part sees one kind of convolution.
struct ConvGeometry {
  Window window;
  std::int64_t groups = 1;
  std::int64_t spread_h = 1, spread_w = 1;
  bool transposed = false;  ///< export writes ConvTranspose
  friend bool operator==(const ConvGeometry&, const ConvGeometry&) = default;
};

/// Filter extents; K output channels, C input channels per group. Weights are linear in KRSC.
struct FilterShape {
  std::int64_t k = 0, r = 0, s = 0, c = 0;
  QNUDGE_HOST_DEVICE std::int64_t taps() const { return r * s * c; }  ///< weights of one output channel
  QNUDGE_HOST_DEVICE std::int64_t size() const { return k * taps(); }
  friend bool operator==(const FilterShape&, const FilterShape&) = default;
};

struct Node {
  Op op = Op::input;
  std::string name;         ///< ONNX node name, made unique; the input's tensor name for Op::input
  std::vector<int> inputs;  ///< indices of earlier nodes
  Shape shape;              ///< of the output, per sample

  ConvGeometry conv;           ///< conv, gemm
  FilterShape filter;          ///< conv, gemm
  std::vector<float> weights;  ///< conv, gemm: [K, R, S, C / groups]
  std::vector<float> bias;     ///< conv, gemm: [K], zeros when the model has none

  Window pool;                     ///< max_pool, average_pool
  bool count_include_pad = false;  ///< average_pool: padding counts in the divisor

  std::vector<float> scale, shift;    ///< batch_norm: [C], y = x * scale + shift (gamma/sqrt(var+eps), beta-mean*scale)
  float clip_low = 0, clip_high = 0;  ///< clip
};

/// A float network with one input and one output; nodes are in topological order, every node reaches the output.
struct Graph {
  std::vector<Node> nodes;  ///< nodes[0] is the input
  int output = 0;
  std::string input_name, output_name;  ///< tensor names, kept for export
  int spatial_rank = 2;                 ///< 2: NCHW in ONNX; 1: NCL
  std::string fingerprint;              ///< of everything above that decides a result

  const Shape& input_shape() const { return nodes.front().shape; }
  const Shape& output_shape() const { return nodes[static_cast<std::size_t>(output)].shape; }
};

/// Readers of each node, in ascending order.
std::vector<std::vector<int>> consumers(const Graph& graph);

/// Output extent of one axis: floor((spread-in extent + padding - effective window) / stride) + 1, 0 if it does not
/// fit.
std::int64_t window_extent(std::int64_t in, std::int64_t window, std::int64_t stride, std::int64_t dilation,
                           std::int64_t pad_before, std::int64_t pad_after, std::int64_t spread);

}  // namespace qnudge
