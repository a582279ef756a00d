// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// The graph as seen from one layer. While the layer is searched nothing before it changes and nothing behind it has
/// weights of its own: the prefix runs once, the searched node once per candidate with its own weights, the suffix once
/// per candidate with shared ones. Works for any DAG; every list is topological.
struct LayerPlan {
  int node = 0;             ///< the searched node
  std::vector<int> prefix;  ///< nodes that do not depend on it and that something in `cut` needs (the input included)
  /// Prefix nodes read by the searched node or the suffix: cached for the whole set. Views are resolved to the node
  /// that owns the bytes.
  std::vector<int> cut;
  std::vector<int> suffix;  ///< nodes that depend on it, itself excluded
};

/// The node that owns the bytes of `node`'s output: itself, or what a view looks at.
int storage_node(const IntNetwork& network, int node);

LayerPlan make_layer_plan(const IntNetwork& network, int layer);

/// Per node: every code it can produce is in [0, 127], so its bytes serve as unsigned input.
std::vector<bool> nonnegative_codes(const IntNetwork& network);

}  // namespace qnudge
