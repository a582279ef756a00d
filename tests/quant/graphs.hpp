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

  /// `shape`: of a move; that of the first input where it is left out.
  int add(FloatPrimitive what, std::vector<int> inputs, Shape shape = {}) {
    Node node;
    node.what = std::move(what);
    node.name = std::string(kind_of(node)) + std::to_string(graph_.nodes.size());
    node.inputs = std::move(inputs);
    node.shape = shape == Shape{} ? shape_at(node.inputs.front()) : shape;
    std::vector<Shape> shapes;
    for (const int i : node.inputs) shapes.push_back(shape_at(i));
    node.shape = shape_of(node, shapes);
    graph_.nodes.push_back(std::move(node));
    return graph_.output = static_cast<int>(graph_.nodes.size()) - 1;
  }

  /// 1x1 convolution with these weights [K, C].
  int conv(int from, std::int64_t k, std::vector<float> weights, std::vector<float> bias = {}) {
    FloatLayer layer;
    layer.filter = {k, 1, 1, shape_at(from).c};
    layer.weights = std::move(weights);
    layer.bias = bias.empty() ? std::vector<float>(static_cast<std::size_t>(k), 0.0f) : std::move(bias);
    return add(layer, {from});
  }

  int batch_norm(int from, std::vector<float> scale, std::vector<float> shift) {
    return add(FloatBatchNorm{std::move(scale), std::move(shift)}, {from});
  }

  int clip(int from, float low, float high) {
    return add(clip_table(static_cast<double>(low), static_cast<double>(high)), {from});
  }

  int concat(std::vector<int> inputs) {
    std::vector<Shape> shapes;
    Shape joined = shape_at(inputs.front());
    joined.c = 0;
    for (const int i : inputs) joined.c += shapes.emplace_back(shape_at(i)).c;
    return add(FloatMove{joined_channels(shapes)}, std::move(inputs), joined);
  }

  int pool(WindowKind kind, int from, Window window, bool count_include_pad = false) {
    return add(FloatWindow{kind, window, count_include_pad}, {from});
  }

  const Graph& graph() const { return graph_; }

 private:
  const Shape& shape_at(int i) const { return graph_.nodes[static_cast<std::size_t>(i)].shape; }
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
