// SPDX-License-Identifier: MIT
#include "qnudge/model/graph.hpp"

namespace qnudge {

const char* to_string(Op op) {
  switch (op) {
    case Op::input:
      return "input";
    case Op::conv:
      return "conv";
    case Op::gemm:
      return "gemm";
    case Op::batch_norm:
      return "batch_norm";
    case Op::relu:
      return "relu";
    case Op::clip:
      return "clip";
    case Op::sigmoid:
      return "sigmoid";
    case Op::add:
      return "add";
    case Op::concat:
      return "concat";
    case Op::max_pool:
      return "max_pool";
    case Op::average_pool:
      return "average_pool";
    case Op::flatten:
      return "flatten";
  }
  return "unknown";
}

std::vector<std::vector<int>> consumers(const Graph& graph) {
  std::vector<std::vector<int>> readers(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const int input : graph.nodes[i].inputs) {
      std::vector<int>& list = readers[static_cast<std::size_t>(input)];
      if (list.empty() || list.back() != static_cast<int>(i)) list.push_back(static_cast<int>(i));
    }
  }
  return readers;
}

std::int64_t window_extent(std::int64_t in, std::int64_t window, std::int64_t stride, std::int64_t dilation,
                           std::int64_t pad_before, std::int64_t pad_after, std::int64_t spread) {
  const std::int64_t spread_in = spread * (in - 1) + 1;
  const std::int64_t effective = dilation * (window - 1) + 1;
  const std::int64_t room = spread_in + pad_before + pad_after - effective;
  return room < 0 ? 0 : room / stride + 1;
}

}  // namespace qnudge
