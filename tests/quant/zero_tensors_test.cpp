// SPDX-License-Identifier: MIT
// Tensors that are 0 on all calibration images have no scale of their own: biases behind them must not suffer from it.
#include <gtest/gtest.h>

#include <cmath>

#include "graphs.hpp"
#include "support/primitives.hpp"
#include "support/random_graph.hpp"

namespace qnudge {
namespace {

using test::GraphOf;
using test::random_reals;
using test::Reals;

constexpr double kHalfStep = 0.5 + 1e-9;

/// A network with what its float tensors showed.
struct Calibrated {
  Graph graph;
  Ranges ranges;
  IntNetwork network;

  double range(int node) const {
    return static_cast<double>(ranges[static_cast<std::size_t>(network.at(node).source)]);
  }
  int input_of(const Layer& layer) const { return network.at(layer.node).inputs.front(); }
};

Calibrated calibrated(const Graph& graph, const Reals& input, BatchNormMode mode = BatchNormMode::separate) {
  Calibrated made{graph, test::ranges_of(graph, {input}), lower(graph, mode)};
  calibrate(made.network, made.ranges);
  return made;
}

/// Step of the layer's output; of a float output that of 8-bit codes of its range.
double step_of(const Calibrated& c, const Layer& layer) {
  if (layer.node != c.network.output || !c.network.float_output()) {
    return std::ldexp(1.0, c.network.at(layer.node).exponent);
  }
  return c.range(layer.node) == 0.0 ? 1.0 : c.range(layer.node) / 127;
}

/// The rule: where a layer reads zeros only, channel k must give its shift to half a step of its output on every grid.
/// That holds of what the output's bounds let through: a channel far beyond them is as constant as they are.
void expect_biases_kept(const Calibrated& c, const std::string& what) {
  for (const Layer& layer : c.network.layers) {
    if (c.range(c.input_of(layer)) != 0.0) continue;
    const bool real = layer.node == c.network.output && c.network.float_output();
    const double step = step_of(c, layer), unit = real ? 1.0 : step;
    for (const Grid& grid : test::all_grids()) {
      const LayerParams params = quantise_layer(c.network, layer, grid);
      for (std::size_t k = 0; k < params.bias.size(); ++k) {
        double wanted = layer.shift[k] / step;
        double got = static_cast<double>(params.bias[k]) * static_cast<double>(params.multiplier[k]) * unit / step;
        if (!real || c.range(layer.node) == 0.0) {
          const double low = c.network.at(layer.node).low, high = c.network.at(layer.node).high;
          wanted = std::clamp(wanted, low, high);
          got = std::clamp(got, low, high);
        }
        ASSERT_LE(std::abs(got - wanted), kHalfStep)
            << what << ", layer " << layer.name << ", channel " << k << ", " << grid.bits << " bits";
      }
    }
  }
}

/// A branch whose ReLU never fires: the convolution behind it gives its bias alone.
Graph dead_branch(double weight, double bias) {
  GraphOf g({3, 3, 2});
  const int off = g.add(test::relu_table(), {g.conv(0, 1, {-1, -1}, {-3})});
  const int branch = g.conv(off, 2, {static_cast<float>(weight), -0.3f}, {static_cast<float>(bias), 0.017f});
  g.add(FloatCombine{}, {0, branch});
  return g.graph();
}

TEST(ZeroTensors, BiasBehindADeadBranchIsKeptAtEveryWidth) {
  const Reals input = random_reals(18, 1);
  for (const double weight : {1e-6, 0.02, 1.0, 40.0, 1e6}) {
    for (const double bias : {-0.763, 0.004, 900.0, 1e-7}) {
      const Calibrated c = calibrated(dead_branch(weight, bias), input);
      expect_biases_kept(c, "weight " + std::to_string(weight) + ", bias " + std::to_string(bias));
      EXPECT_FALSE(c.network.layers[1].constant);
    }
  }
  // The scale that such tensors had, 1, shows what this test would see.
  Calibrated old = calibrated(dead_branch(1.0, -0.763), input);
  std::vector<int> exponents;
  for (const IntNode& node : old.network.nodes) exponents.push_back(node.exponent);
  exponents[1] = 0;
  set_exponents(old.network, exponents);
  const LayerParams coarse = quantise_layer(old.network, old.network.layers[1], {2});
  EXPECT_GT(std::abs(coarse.bias[0] * static_cast<double>(coarse.multiplier[0]) +
                     0.763 / step_of(old, old.network.layers[1])),
            10);
}

TEST(ZeroTensors, BiasIsKeptThoughOutputsAreLoweredByLeastSquares) {
  Calibrated c = calibrated(dead_branch(1.0, -0.763), random_reals(18, 1));
  std::vector<GridErrors> errors(c.network.nodes.size(), GridErrors{0, 0, 0, 0});
  errors[2] = {9, 5, 3, 1};
  const int before = c.network.at(2).exponent;
  choose_exponents(c.network, errors);
  ASSERT_EQ(c.network.at(2).exponent, before - 3);
  expect_biases_kept(c, "lowered");
}

TEST(ZeroTensors, ADeadNetworkInputKeepsTheFirstBias) {
  GraphOf g({3, 3, 2});
  g.conv(g.add(test::relu_table(), {g.conv(0, 2, {5, -3, 2, 2}, {0.01f, 0.7f})}), 2, {1, 2, -1, 1}, {0.5f, -0.25f});
  const Calibrated c = calibrated(g.graph(), Reals(18, 0.0));
  expect_biases_kept(c, "black images");
  for (const Layer& layer : c.network.layers) EXPECT_FALSE(layer.constant);
}

TEST(ZeroTensors, AFloatOutputBehindADeadTensorKeepsItsBias) {
  GraphOf g({1, 1, 2});
  g.conv(g.add(test::relu_table(), {g.conv(0, 1, {-1, -1}, {-3})}), 3, {1, 2, 3}, {0.031f, -0.02f, 0.007f});
  const Calibrated c = calibrated(g.graph(), random_reals(2, 3));
  ASSERT_TRUE(c.network.float_output());
  expect_biases_kept(c, "float output");
}

TEST(ZeroTensors, ChainsAndConcatenationsOfDeadTensors) {
  GraphOf g({3, 3, 2});
  const int a = g.add(test::relu_table(), {g.conv(0, 1, {-1, -1}, {-3})});
  const int b = g.add(test::relu_table(), {g.conv(a, 1, {7}, {-0.001f})});
  const int pooled = g.pool(WindowKind::average, b, {});
  const int joined = g.concat({a, b, pooled});
  const int out = g.conv(joined, 2, {9, 1, 1, 2, 3, 4}, {0.21f, -0.05f});
  g.add(FloatCombine{}, {0, out});
  const Calibrated c = calibrated(g.graph(), random_reals(18, 4));
  expect_biases_kept(c, "all dead");
  for (const Layer& layer : c.network.layers) EXPECT_FALSE(layer.constant) << layer.name;
}

TEST(ZeroTensors, WhereTheScaleBelongsToOthersTheLayerIsConstant) {
  GraphOf g({3, 3, 2});
  const int off = g.add(test::relu_table(), {g.conv(0, 1, {-1, -1}, {-3})});
  const int quiet = g.conv(off, 2, {1, 2}, {0.21f, -0.05f});
  const int sum = g.add(FloatCombine{}, {0, quiet});
  const int loud = g.conv(0, 1, {1000, 1000});
  g.concat({off, sum, loud});
  const Calibrated c = calibrated(g.graph(), random_reals(18, 5));
  ASSERT_GT(c.network.at(c.input_of(c.network.layers[1])).exponent, 0);
  expect_biases_kept(c, "tied to a loud tensor");
  for (std::size_t l = 0; l < 3; ++l) EXPECT_EQ(c.network.layers[l].constant, l == 1);
}

/// Random networks with dead channels and tensors: ReLUs that never fire, layers without weights, black inputs.
TEST(ZeroTensors, RandomNetworksKeepEveryBias) {
  int dead = 0, constant = 0, too_large = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Graph graph = test::random_graph(seed);
    std::mt19937_64 random(seed);
    for (Node& node : graph.nodes) {
      auto* const layer = std::get_if<FloatLayer>(&node.what);
      if (layer == nullptr) continue;
      for (float& w : layer->weights) w = std::ldexp(w, static_cast<int>(random() % 3) * 4);
      const auto draw = random() % 6;
      if (draw == 0) std::fill(layer->bias.begin(), layer->bias.end(), -1e6f);
      if (draw == 1) std::fill(layer->weights.begin(), layer->weights.end(), 0.0f);
    }
    Reals input = random_reals(graph.input_shape().size(), seed);
    if (seed % 5 == 0) std::fill(input.begin(), input.end(), 0.0);
    const bool huge = std::ranges::any_of(test::evaluate(graph, input), [](const Reals& tensor) {
      return std::ranges::any_of(tensor, [](double v) { return !(std::abs(v) < 1e18); });
    });
    if (huge) {  // products of such weights leave the range of float
      ++too_large;
      continue;
    }
    const Calibrated c = calibrated(graph, input, seed % 2 == 0 ? BatchNormMode::separate : BatchNormMode::fold);
    expect_biases_kept(c, "random_graph(" + std::to_string(seed) + ")");
    for (const Layer& layer : c.network.layers) {
      dead += c.range(c.input_of(layer)) == 0.0;
      constant += layer.constant;
      EXPECT_TRUE(!layer.constant || c.range(c.input_of(layer)) == 0.0);
    }
  }
  EXPECT_LT(too_large, 60);
  EXPECT_GT(dead, 100);
  EXPECT_GT(constant, 0);
}

}  // namespace
}  // namespace qnudge
