// SPDX-License-Identifier: MIT
#include "fingerprint.hpp"

#include <span>

#include "primitives.hpp"

namespace qnudge {

void add_window(Fingerprint& hash, const Window& w) {
  const std::int64_t all[] = {w.r,          w.s,       w.stride_h, w.stride_w,   w.dilation_h,
                              w.dilation_w, w.pad_top, w.pad_left, w.pad_bottom, w.pad_right};
  hash.add_values(std::span<const std::int64_t>(all));
}

std::string graph_fingerprint(const Graph& graph) {
  Fingerprint hash;
  hash.add("qnudge float graph 2");
  const std::int64_t whole[] = {static_cast<std::int64_t>(graph.nodes.size()), graph.output, graph.spatial_rank};
  hash.add_values(std::span<const std::int64_t>(whole));
  for (const Node& node : graph.nodes) {
    const std::int64_t common[] = {static_cast<std::int64_t>(node.what.index()), node.shape.h, node.shape.w,
                                   node.shape.c};
    hash.add_values(std::span<const std::int64_t>(common));
    hash.add_values(std::span<const int>(node.inputs));
    model_facet(node).fingerprint(node, hash);
  }
  return hash.hex();
}

}  // namespace qnudge
