// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <vector>

#include "qnudge/quant/quantise.hpp"

namespace qnudge {

/// A float graph on its way to an integer network: node by node, each by the room of its primitive.
class Lowering {
 public:
  Lowering(const Graph& graph, BatchNormMode mode);
  IntNetwork run();

  BatchNormMode mode() const { return mode_; }
  const Node& at(int i) const { return graph_.nodes[static_cast<std::size_t>(i)]; }
  bool is_output(int i) const { return i == graph_.output; }
  /// The only reader of float node `i`, where nothing else wants to see its value.
  std::optional<int> only_reader(int i) const;

  IntNode& node(int i) { return network_.nodes[static_cast<std::size_t>(i)]; }
  /// Appends an integer node that stands for float node `from`.
  int append(IntPrimitive what, int from);
  /// Integer node `i` stands for float node `from` too, as its value before bounds.
  void take_over(int i, int from);
  /// Makes int node `i`, so far float node `from`, stand for a ReLU or Clip(0, high) right behind it.
  void absorb_bounds(int i, int from, bool may_clip);
  /// Index of a new layer.
  int add_layer(Layer layer);

 private:
  const std::vector<int>& readers(int i) const { return readers_[static_cast<std::size_t>(i)]; }
  int& lowered(int i) { return lowered_[static_cast<std::size_t>(i)]; }
  void find_readers();
  void drop_output_views();

  const Graph& graph_;
  BatchNormMode mode_;
  std::vector<std::vector<int>> readers_;
  std::vector<int> lowered_;  ///< int node that stands for each float node, -1: none yet
  IntNetwork network_;
};

}  // namespace qnudge
