// SPDX-License-Identifier: MIT
#include "qnudge/backend/layer_plan.hpp"

#include <algorithm>

namespace qnudge {

int storage_node(const IntNetwork& network, int node) {
  while (network.at(node).op == IntOp::view) node = network.at(node).inputs[0];
  return node;
}

LayerPlan make_layer_plan(const IntNetwork& network, int layer) {
  LayerPlan plan;
  plan.node = network.layer(layer).node;
  const int count = static_cast<int>(network.nodes.size());

  std::vector<bool> depends(network.nodes.size()), cut(network.nodes.size()), needed(network.nodes.size());
  depends[static_cast<std::size_t>(plan.node)] = true;
  for (int i = plan.node; i < count; ++i) {
    const auto& inputs = network.at(i).inputs;
    const auto at = static_cast<std::size_t>(i);
    depends[at] = depends[at] || std::any_of(inputs.begin(), inputs.end(),
                                             [&](int in) { return depends[static_cast<std::size_t>(in)]; });
    if (!depends[at]) continue;
    if (i != plan.node) plan.suffix.push_back(i);
    for (int in : inputs) {
      if (!depends[static_cast<std::size_t>(in)]) cut[static_cast<std::size_t>(storage_node(network, in))] = true;
    }
  }
  for (int i = count - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    if (!needed[at] && !cut[at]) continue;
    for (int in : network.at(i).inputs) needed[static_cast<std::size_t>(in)] = true;
    plan.prefix.push_back(i);
    if (cut[at]) plan.cut.push_back(i);
  }
  std::reverse(plan.prefix.begin(), plan.prefix.end());
  std::reverse(plan.cut.begin(), plan.cut.end());
  return plan;
}

std::vector<bool> nonnegative_codes(const IntNetwork& network) {
  std::vector<bool> nonnegative;
  for (const IntNode& node : network.nodes) {
    const auto input = [&](std::size_t i) { return nonnegative[static_cast<std::size_t>(node.inputs[i])]; };
    switch (node.op) {
      case IntOp::input:
        nonnegative.push_back(false);
        break;
      case IntOp::conv:
      case IntOp::add:
      case IntOp::clamp:
        nonnegative.push_back(node.low >= 0);
        break;
      case IntOp::lookup:
        nonnegative.push_back(*std::min_element(node.table.begin(), node.table.end()) >= 0);
        break;
      case IntOp::concat: {
        bool all = true;
        for (std::size_t i = 0; i < node.inputs.size(); ++i) all = all && input(i);
        nonnegative.push_back(all);
        break;
      }
      case IntOp::max_pool:
      case IntOp::average_pool:
      case IntOp::view:
        nonnegative.push_back(input(0));
        break;
    }
  }
  return nonnegative;
}

}  // namespace qnudge
