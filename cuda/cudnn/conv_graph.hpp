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

/// A convolution with its epilogue as cuDNN's operation graph. The order of operations is the contract of DESIGN's
/// arithmetic: + bias, * multiplier, clamp, + 1.5 * 2^23, - 1.5 * 2^23, to int8; then, where an addition is fused,
/// * m_conv, + residual * m_residual, clamp, the same rounding. Rounding is explicit, so that the final conversion
/// meets an integer within range and has nothing left to decide.
struct ConvGraph {
  Descriptor graph;
  std::vector<GraphScalar> scalars;
  std::string text;  ///< says all that decides the plan: tensors, strides, operations
  std::vector<Descriptor> parts;
};

/// How the candidates of a task become cuDNN's dimensions.
enum class ConvForm {
  whole,   ///< one graph for all candidates: 4-D for `single` and `wide`, 5-D [N, H, W, P, C] for `shared`
  sliced,  ///< `wide` one candidate at a time: 4-D, y a slice of [N, OH, OW, P, K]
};

/// Why no graph is written for this task in this form; empty if one is.
std::string graph_refusal(const ConvTask& task, ConvForm form);

/// Throws Error(kind device) if cuDNN does not take the graph.
ConvGraph make_conv_graph(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form);

}  // namespace qnudge::cuda
