// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "float_oracle.hpp"
#include "qnudge/quant/quantise.hpp"

/// Small float graphs written by hand.
namespace qnudge::test {

/// Appends nodes with shapes that follow; the last one is the output.
class GraphOf {
 public:
  explicit GraphOf(Shape input) {
    graph_.input_name = "in";
    graph_.output_name = "out";
    Node node;
    node.name = "in";
    node.shape = input;
    graph_.nodes.push_back(node);
  }

  int add(Op op, std::vector<int> inputs, Node node = {}) {
    node.op = op;
    node.name = std::string(to_string(op)) + std::to_string(graph_.nodes.size());
    node.inputs = std::move(inputs);
    const bool given = op == Op::conv || op == Op::concat || op == Op::max_pool || op == Op::average_pool;
    if (!given) node.shape = shape(node.inputs.front());
    graph_.nodes.push_back(std::move(node));
    return graph_.output = static_cast<int>(graph_.nodes.size()) - 1;
  }

  /// 1x1 convolution with these weights [K, C].
  int conv(int from, std::int64_t k, std::vector<float> weights, std::vector<float> bias = {}) {
    Node node;
    node.shape = {shape(from).h, shape(from).w, k};
    node.filter = {k, 1, 1, shape(from).c};
    node.weights = std::move(weights);
    node.bias = bias.empty() ? std::vector<float>(static_cast<std::size_t>(k), 0.0f) : std::move(bias);
    return add(Op::conv, {from}, node);
  }

  int batch_norm(int from, std::vector<float> scale, std::vector<float> shift) {
    Node node;
    node.scale = std::move(scale);
    node.shift = std::move(shift);
    return add(Op::batch_norm, {from}, node);
  }

  int clip(int from, float low, float high) {
    Node node;
    node.clip_low = low;
    node.clip_high = high;
    return add(Op::clip, {from}, node);
  }

  int concat(std::vector<int> inputs) {
    Node node;
    node.shape = shape(inputs.front());
    node.shape.c = 0;
    for (const int i : inputs) node.shape.c += shape(i).c;
    return add(Op::concat, std::move(inputs), node);
  }

  int pool(Op op, int from, Window window, bool count_include_pad = false) {
    Node node;
    const Shape in = shape(from);
    node.pool = window;
    node.count_include_pad = count_include_pad;
    node.shape = {
        window_extent(in.h, window.r, window.stride_h, window.dilation_h, window.pad_top, window.pad_bottom, 1),
        window_extent(in.w, window.s, window.stride_w, window.dilation_w, window.pad_left, window.pad_right, 1), in.c};
    return add(op, {from}, node);
  }

  const Graph& graph() const { return graph_; }

 private:
  const Shape& shape(int i) const { return graph_.nodes[static_cast<std::size_t>(i)].shape; }
  Graph graph_;
};

inline Reals random_reals(std::int64_t count, std::uint64_t seed, double limit = 1.0) {
  std::mt19937_64 engine(seed);
  Reals values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(limit * (static_cast<double>(engine() >> 11) / 4503599627370496.0 - 1.0));
  }
  return values;
}

/// Largest |value| of every node over these inputs.
inline Ranges ranges_of(const Graph& graph, const std::vector<Reals>& inputs) {
  Ranges ranges(graph.nodes.size(), 0.0f);
  for (const Reals& input : inputs) {
    const std::vector<Reals> all = evaluate(graph, input);
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (const double v : all[i]) ranges[i] = std::max(ranges[i], static_cast<float>(std::abs(v)));
    }
  }
  return ranges;
}

inline const std::vector<Grid>& all_grids() {
  static const std::vector<Grid> grids = [] {
    std::vector<Grid> all;
    for (int bits = 2; bits <= 8; ++bits)
      for (const GridScheme scheme : {GridScheme::per_layer, GridScheme::per_channel})
        for (const GridScale scale : {GridScale::pow2, GridScale::free})
          for (const GridRange range : {GridRange::max, GridRange::mse}) all.push_back({bits, scheme, scale, range});
    return all;
  }();
  return grids;
}

}  // namespace qnudge::test
