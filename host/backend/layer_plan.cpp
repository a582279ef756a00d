// SPDX-License-Identifier: MIT
#include "qnudge/backend/layer_plan.hpp"

#include <algorithm>

namespace qnudge {

int storage_node(const IntNetwork& network, int node) {
  while (network.at(node).view()) node = network.at(node).inputs[0];
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
  for (const CodeBounds& bounds : code_bounds(network)) nonnegative.push_back(bounds.low >= 0);
  return nonnegative;
}

}  // namespace qnudge
