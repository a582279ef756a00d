// SPDX-License-Identifier: MIT
#include "fingerprint.hpp"

#include <span>
#include <vector>

#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

using Integers = std::vector<std::int64_t>;

void append(Integers& all, const Window& w) {
  all.insert(all.end(), {w.r, w.s, w.stride_h, w.stride_w, w.dilation_h, w.dilation_w, w.pad_top, w.pad_left,
                         w.pad_bottom, w.pad_right});
}

void add_node(Fingerprint& hash, const Node& n) {
  Integers all{static_cast<std::int64_t>(n.op), n.shape.h, n.shape.w, n.shape.c};
  append(all, n.conv.window);
  all.insert(all.end(), {n.conv.groups, n.conv.spread_h, n.conv.spread_w, n.conv.transposed});
  all.insert(all.end(), {n.filter.k, n.filter.r, n.filter.s, n.filter.c});
  append(all, n.pool);
  all.push_back(n.count_include_pad);
  hash.add_values(std::span<const std::int64_t>(all));
  hash.add_values(std::span<const int>(n.inputs));
  for (const std::vector<float>* values : {&n.weights, &n.bias, &n.scale, &n.shift}) {
    hash.add_values(std::span<const float>(*values));
  }
  const float bounds[] = {n.clip_low, n.clip_high};
  hash.add_values(std::span<const float>(bounds));
}

}  // namespace

std::string graph_fingerprint(const Graph& graph) {
  Fingerprint hash;
  hash.add("qnudge float graph 1");
  const std::int64_t whole[] = {static_cast<std::int64_t>(graph.nodes.size()), graph.output, graph.spatial_rank};
  hash.add_values(std::span<const std::int64_t>(whole));
  for (const Node& node : graph.nodes) add_node(hash, node);
  return hash.hex();
}

}  // namespace qnudge
