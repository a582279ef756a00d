// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <utility>

#include "lowering.hpp"
#include "primitives.hpp"

namespace qnudge {

Lowering::Lowering(const Graph& graph, BatchNormMode mode)
    : graph_(graph), mode_(mode), readers_(graph.nodes.size()), lowered_(graph.nodes.size(), -1) {
  network_.spatial_rank = graph.spatial_rank;
  network_.input_name = graph.input_name;
  network_.output_name = graph.output_name;
  network_.ends = graph.ends;
  find_readers();
}

IntNetwork Lowering::run() {
  for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
    const bool dead = !is_output(i) && i != 0 && readers(i).empty();
    if (!dead && lowered(i) < 0) lower_node(*this, i);
  }
  network_.output = lowered(graph_.output);
  drop_output_views();
  return std::move(network_);
}

/// Readers of each node among those that the output depends on.
void Lowering::find_readers() {
  std::vector<bool> live(graph_.nodes.size());
  live[static_cast<std::size_t>(graph_.output)] = true;
  for (int i = graph_.output; i > 0; --i) {
    if (!live[static_cast<std::size_t>(i)]) continue;
    for (const int in : at(i).inputs) {
      live[static_cast<std::size_t>(in)] = true;
      readers_[static_cast<std::size_t>(in)].push_back(i);
    }
  }
}

std::optional<int> Lowering::only_reader(int i) const {
  if (is_output(i) || readers(i).size() != 1) return std::nullopt;
  return readers(i).front();
}

/// A layer that is merely flattened before it is the output keeps its real values. One with an upper bound does not: a
/// float output has none.
void Lowering::drop_output_views() {
  const auto reads = [&](const IntNode& reader, int i) { return std::ranges::count(reader.inputs, i); };
  int root = network_.output;
  while (node(root).view()) {
    const int from = node(root).inputs[0];
    std::ptrdiff_t count = 0;
    for (const IntNode& reader : network_.nodes) count += reads(reader, from);
    if (count != 1) return;
    root = from;
  }
  if (root == network_.output || node(root).layer() < 0 || node(root).clip_high != 0.0) return;
  network_.nodes.resize(static_cast<std::size_t>(root) + 1);  // only the views stood behind it
  network_.output = root;
  network_.flatten_output = !network_.layer(node(root).layer()).gemm;
}

int Lowering::append(IntPrimitive what, int from) {
  IntNode node;
  node.what = std::move(what);
  node.name = at(from).name;
  node.shape = at(from).shape;
  for (const int in : at(from).inputs) node.inputs.push_back(lowered(in));
  network_.nodes.push_back(std::move(node));
  const int i = static_cast<int>(network_.nodes.size()) - 1;
  take_over(i, from);
  return i;
}

void Lowering::take_over(int i, int from) {
  node(i).source = node(i).linear_source = from;
  lowered(from) = i;
}

void Lowering::absorb_bounds(int i, int from, bool may_clip) {
  const auto next = only_reader(from);
  const auto bounds = next ? bounds_of(at(*next)) : std::nullopt;
  if (!bounds || bounds->low != 0.0 || !(bounds->high > 0.0)) return;
  if (std::isfinite(bounds->high) && !may_clip) return;
  node(i).low = 0;
  if (std::isfinite(bounds->high)) node(i).clip_high = bounds->high;
  node(i).source = *next;
  lowered(*next) = i;
}

int Lowering::add_layer(Layer layer) {
  network_.layers.push_back(std::move(layer));
  return static_cast<int>(network_.layers.size()) - 1;
}

IntNetwork lower(const Graph& graph, BatchNormMode batch_norm) {
  return Lowering(graph, batch_norm).run();
}

}  // namespace qnudge
