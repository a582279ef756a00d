// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "plan_target.hpp"
#include "qnudge/cuda/conv_task.hpp"

namespace qnudge::cuda {

/// Names of a graph's tensors in a variant pack.
enum class Port : std::int64_t { x = 1, w, bias, multiplier, residual, y };

/// A scalar of a graph: its name in the variant pack and its value, which cuDNN reads from host memory.
struct GraphScalar {
  std::int64_t uid;
  float value;
};

/// A tensor of a graph that lies in device memory.
struct GraphTensor {
  Port port;
  std::int64_t alignment;  ///< bytes that divide its address, as cuDNN was told
};

/// A convolution with its epilogue as cuDNN's operation graph. The order of operations is the contract of DESIGN's
/// arithmetic: + bias, * multiplier, clamp, + 1.5 * 2^23, - 1.5 * 2^23, to int8; then, where an addition is fused,
/// * m_conv, + residual * m_residual, clamp, the same rounding. Rounding is explicit, so that the final conversion
/// meets an integer within range and has nothing left to decide. A task of halves leaves rounding to that conversion.
struct ConvGraph {
  Descriptor graph;
  std::vector<GraphTensor> tensors;  ///< exactly those that a variant pack must name
  std::vector<GraphScalar> scalars;
  std::string text;  ///< says all that decides the plan: tensors, strides, operations
  std::vector<Descriptor> parts;
};

/// How a task becomes a graph of cuDNN's.
struct ConvForm {
  enum class Split {
    none,        ///< one graph for all candidates: 4-D for `single` and `wide`, 5-D [N, H, W, P, C] for `shared`
    candidates,  ///< `wide` one candidate at a time: 4-D, y a slice of [N, OH, OW, P, K]
    phases,      ///< transposed: one phase of the output at a time, y every so many rows and columns (phases.hpp)
  };
  Split split = Split::none;
  bool half = false;  ///< codes x and w as IEEE half, sums in fp32: exact where `half_is_exact`

  static const ConvForm whole, sliced, phases;
  ConvForm in_half() const { return {split, true}; }
  friend bool operator==(const ConvForm&, const ConvForm&) = default;
};
inline constexpr ConvForm ConvForm::whole{ConvForm::Split::none, false};
inline constexpr ConvForm ConvForm::sliced{ConvForm::Split::candidates, false};
inline constexpr ConvForm ConvForm::phases{ConvForm::Split::phases, false};

/// "one graph", "one candidate at a time, half precision", ...
std::string form_text(const ConvForm& form);

/// Every partial sum of products of 8-bit codes with codes of `code_bits` is an integer below 2^24, which fp32 holds
/// whatever the order of additions.
bool half_is_exact(const ConvTask& task, int code_bits);

/// Why no graph is written for this task in this form; empty if one is.
std::string graph_refusal(const ConvTask& task, ConvForm form);

/// Throws Error(kind device) if cuDNN does not take the graph.
ConvGraph make_conv_graph(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form);

}  // namespace qnudge::cuda
