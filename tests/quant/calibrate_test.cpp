// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>

#include "graphs.hpp"
#include "qnudge/core/error.hpp"
#include "support/naive_network.hpp"
#include "support/random_graph.hpp"

namespace qnudge {
namespace {

using test::combine_of;
using test::GraphOf;
using test::Reals;
using test::relu_table;
using test::sigmoid_table;
using test::table_of;
using test::window_of;

IntNetwork lowered(const GraphOf& g) {
  return lower(g.graph(), BatchNormMode::separate);
}

TEST(Calibrate, SmallestExponentThatHoldsTheRange) {
  GraphOf g({1, 1, 1});
  g.pool(WindowKind::average, 0, {});
  IntNetwork network = lowered(g);
  const auto exponent = [&](float range) {
    calibrate(network, {range, 1.0f});
    return network.at(0).exponent;
  };
  EXPECT_EQ(exponent(127.0f), 0);
  EXPECT_EQ(exponent(std::nextafter(127.0f, 1000.0f)), 1);
  EXPECT_EQ(exponent(128.0f), 1);
  EXPECT_EQ(exponent(63.5f), -1);
  EXPECT_EQ(exponent(1.0f), -6);
  EXPECT_EQ(exponent(0.0f), 0);
  EXPECT_EQ(exponent(1e-40f), -kExponentLimit);
  for (float range = 3e-16f; range < 1e20f; range *= 1.37f) {
    const int e = exponent(range);
    EXPECT_LE(static_cast<double>(range), std::ldexp(127.0, e));
    EXPECT_GT(static_cast<double>(range), std::ldexp(127.0, e - 1));
  }
}

TEST(Calibrate, RefusesRangesThatNoScaleCanHold) {
  GraphOf g({1, 1, 1});
  g.pool(WindowKind::average, 0, {});
  IntNetwork network = lowered(g);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e25f, -1.0f}) {
    try {
      calibrate(network, {1.0f, bad});
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
      EXPECT_NE(std::string(error.what()).find("average_pool1"), std::string::npos) << error.what();
    }
  }
  EXPECT_THROW(calibrate(network, {1.0f}), Error);
}

TEST(Calibrate, LowersExponentsWhereTheSquaredErrorSaysSo) {
  GraphOf g({2, 2, 1});
  g.conv(0, 1, {1.0});
  g.add(relu_table(), {1});
  g.pool(WindowKind::average, 2, {});
  IntNetwork network = lowered(g);
  calibrate(network, {100.0f, 100.0f, 100.0f, 100.0f});
  const std::vector<NodeGrid> grids = activation_grids(network);
  ASSERT_EQ(grids.size(), network.nodes.size());
  std::vector<int> before;
  for (std::size_t i = 0; i < grids.size(); ++i) {
    EXPECT_EQ(grids[i].node, network.nodes[i].source);
    EXPECT_EQ(grids[i].exponent, network.nodes[i].exponent);
    before.push_back(network.nodes[i].exponent);
  }
  std::vector<GridErrors> errors(grids.size(), GridErrors{4, 4, 5, 6});  // ties: the larger range
  choose_exponents(network, errors);
  for (std::size_t i = 0; i < grids.size(); ++i) EXPECT_EQ(network.nodes[i].exponent, before[i]);
  errors[1] = {4, 3, 2, 1};
  choose_exponents(network, errors);
  EXPECT_EQ(network.nodes[1].exponent, before[1] - 3);
  EXPECT_EQ(network.nodes[0].exponent, before[0]);
  // What follows from exponents follows: the pool's multiplier grew by the lost bits.
  EXPECT_EQ(window_of(network.nodes.back()).multiplier,
            std::ldexp(1.0f, network.nodes[network.nodes.size() - 2].exponent - network.nodes.back().exponent));
  EXPECT_THROW(choose_exponents(network, std::vector<GridErrors>(1)), Error);
}

TEST(Calibrate, TiedScalesAreJudgedByTheirSumAndTablesKeepTheirs) {
  GraphOf g({2, 2, 1});
  const int a = g.conv(0, 1, {1.0}), b = g.conv(0, 1, {1.0});
  const int joined = g.concat({a, b});
  g.add(sigmoid_table(), {joined});
  IntNetwork network = lowered(g);
  calibrate(network, Ranges(5, 10.0f));
  std::vector<GridErrors> errors(network.nodes.size(), GridErrors{1, 2, 3, 4});
  const int exponent = network.at(a).exponent, table = network.nodes.back().exponent;
  errors[static_cast<std::size_t>(a)] = {10, 1, 9, 9};
  errors[static_cast<std::size_t>(b)] = {1, 20, 9, 9};
  errors[static_cast<std::size_t>(joined)] = {0, 0, 0, 0};
  errors.back() = {9, 1, 1, 1};
  choose_exponents(network, errors);  // 11, 21, 18, 18
  for (const int node : {a, b, joined}) EXPECT_EQ(network.at(node).exponent, exponent);
  errors[static_cast<std::size_t>(b)] = {1, 5, 9, 9};
  choose_exponents(network, errors);  // 11, 6, 18, 18
  for (const int node : {a, b, joined}) EXPECT_EQ(network.at(node).exponent, exponent - 1);
  EXPECT_EQ(network.nodes.back().exponent, table);
}

TEST(Calibrate, TiesScalesWhereCodesPassThrough) {
  GraphOf g({2, 2, 2});
  const int small = g.conv(0, 1, {1, 1});
  const int large = g.conv(0, 1, {1, 1});
  const int zero = g.conv(0, 1, {0, 0});
  const int pool = g.pool(WindowKind::max, large, {});
  const int joined = g.concat({small, pool, zero});
  const int relu = g.add(relu_table(), {joined});
  g.add(FloatMove{}, {relu});
  g.pool(WindowKind::average, relu, {});
  Graph graph = g.graph();
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  IntNetwork network = lower(graph, BatchNormMode::separate);
  calibrate(network, {1.0f, 0.1f, 20.0f, 0.0f, 15.0f, 20.0f, 20.0f, 0.0f, 5.0f});
  for (const IntNode& node : network.nodes) {
    const int wanted = node.inputs.empty() ? -6 : (kind_of(node) == "average_pool" ? -4 : -2);
    EXPECT_EQ(node.exponent, wanted) << node.name;
  }
}

TEST(Calibrate, SigmoidTable) {
  GraphOf g({1, 1, 1});
  const int conv = g.conv(0, 1, {1});
  const int sigmoid = g.add(sigmoid_table(), {conv});
  g.pool(WindowKind::average, sigmoid, {});
  IntNetwork network = lowered(g);
  for (const float range : {1e-6f, 0.5f, 4.0f, 30.0f, 1e9f}) {
    calibrate(network, {1.0f, range, 1.0f, 1.0f});
    const IntNode& lookup = network.at(2);
    EXPECT_EQ(lookup.exponent, -7);
    ASSERT_EQ(table_of(lookup).codes.size(), 256u);
    for (int code = -128; code < 128; ++code) {
      const double exact = 128.0 / (1.0 + std::exp(-std::ldexp(code, network.at(1).exponent)));
      const int got = table_of(lookup).codes[static_cast<std::size_t>(code + 128)];
      EXPECT_NEAR(got, std::min(exact, 127.0), 0.501) << code << " at range " << range;
      EXPECT_GE(got, 0);
    }
    EXPECT_EQ(table_of(lookup).codes[128], 64);
  }
}

TEST(Calibrate, SigmoidThatIsConcatenatedTakesTheSharedScale) {
  GraphOf g({1, 1, 1});
  const int conv = g.conv(0, 1, {1});
  g.concat({g.add(sigmoid_table(), {conv}), conv});
  IntNetwork network = lowered(g);
  calibrate(network, {1.0f, 10.0f, 1.0f, 10.0f});
  EXPECT_EQ(network.at(2).exponent, -3);
  EXPECT_EQ(table_of(network.at(2)).codes[128], 4);  // 0.5 at scale 1/8
  EXPECT_EQ(table_of(network.at(2)).codes[255], 8);  // nearly 1
  calibrate(network, {1.0f, 0.1f, 1.0f, 1.0f});
  EXPECT_EQ(network.at(2).exponent, -6);
}

TEST(Calibrate, BoundsAndMultipliersFollowTheExponents) {
  GraphOf g({1, 1, 1});
  const int conv = g.conv(0, 1, {1});
  const int clip = g.clip(conv, 0.0f, 6.0f);
  const int sum = g.add(FloatCombine{}, {clip, 0});
  g.clip(sum, -1.5f, 100.0f);
  IntNetwork network = lowered(g);
  calibrate(network, {1.0f, 0.0f, 5.0f, 20.0f, 20.0f});
  EXPECT_EQ(network.at(1).exponent, -4);
  EXPECT_EQ(network.at(1).low, 0);
  EXPECT_EQ(network.at(1).high, 96);  // 6 * 16
  EXPECT_EQ(network.at(2).exponent, -2);
  EXPECT_EQ(combine_of(network.at(2)).multiplier_a, 0.25f);
  EXPECT_EQ(combine_of(network.at(2)).multiplier_b, 1.0f / 16);
  EXPECT_EQ(network.at(3).low, -6);
  EXPECT_EQ(network.at(3).high, 127);
}

TEST(Calibrate, FloatOutputHasNoExponent) {
  GraphOf g({1, 1, 1});
  g.conv(0, 1, {1});
  IntNetwork network = lowered(g);
  calibrate(network, {1.0f, 1000.0f});
  EXPECT_EQ(network.at(1).exponent, 0);
}

TEST(SetExponents, RefusesWhatCalibrationCouldNotHaveMade) {
  GraphOf g({1, 1, 1});
  g.pool(WindowKind::max, g.pool(WindowKind::average, 0, {}), {});
  IntNetwork network = lowered(g);
  EXPECT_NO_THROW(set_exponents(network, std::vector{3, -2, -2}));
  for (const std::vector<int>& bad :
       {std::vector{3, -2}, std::vector{3, -2, -3}, std::vector{61, 0, 0}, std::vector{0, -61, -61}}) {
    EXPECT_THROW(set_exponents(network, bad), Error);
  }
}

TEST(AveragePool, MultiplierIsThatOfTheCommonDivisor) {
  Window padded;
  padded.r = padded.s = 3;
  padded.pad_top = padded.pad_left = padded.pad_bottom = padded.pad_right = 1;
  const auto multiplier = [&](const Shape& shape, const Window& window, bool include) {
    GraphOf g(shape);
    g.pool(WindowKind::average, 0, window, include);
    IntNetwork network = lowered(g);
    set_exponents(network, std::vector{-3, -5});
    return window_of(network.at(1)).multiplier;
  };
  EXPECT_EQ(multiplier({5, 5, 1}, padded, false), static_cast<float>(4.0 / 9));  // divisors differ: that of r * s
  EXPECT_EQ(multiplier({5, 5, 1}, padded, true), static_cast<float>(4.0 / 9));
  EXPECT_EQ(multiplier({2, 2, 1}, padded, false), 1.0f);  // every window sees the same four taps
  Window whole;
  whole.r = whole.s = 7;
  EXPECT_EQ(multiplier({7, 7, 3}, whole, false), static_cast<float>(4.0 / 49));
}

TEST(AveragePool, DivisorCountsTapsInsideImageOrPadding) {
  Window window{.r = 3, .s = 2, .dilation_h = 2, .pad_top = 1, .pad_bottom = 1};
  const Shape in{4, 3, 1};
  EXPECT_EQ(pool_divisor(window, false, in, -1, 0), 4);  // rows -1, 1, 3
  EXPECT_EQ(pool_divisor(window, false, in, 0, 2), 2);   // rows 0, 2, 4; columns 2, 3
  EXPECT_EQ(pool_divisor(window, false, in, -20, 0), 1);
  EXPECT_EQ(pool_divisor(window, true, in, -1, 0), 6);
  EXPECT_EQ(pool_divisor(window, true, in, 0, 0), 6);
  EXPECT_EQ(pool_divisor(window, true, in, 1, 0), 4);  // rows 1, 3, 5: row 4 is the last of the padding
}

TEST(QuantiseInput, RoundsHalfToEvenAndSaturates) {
  GraphOf g({1, 9, 1});
  g.pool(WindowKind::average, 0, {});
  IntNetwork network = lowered(g);
  set_exponents(network, std::vector{-1, 0});
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> sample = {0.25f, 0.75f, -0.25f, 1.25f, 1000.0f, -1000.0f, infinity, -infinity, NAN};
  std::vector<std::int8_t> codes(9);
  quantise_input(network, sample, codes);
  EXPECT_EQ(codes, (std::vector<std::int8_t>{0, 2, 0, 2, 127, -128, 127, -128, 0}));
  EXPECT_THROW(quantise_input(network, std::span(sample).first(8), codes), Error);
}

/// All of it together: at 8 bits the integer network follows the float network on every random graph.
TEST(Quantise, IntegerNetworkFollowsTheFloatNetwork) {
  double total = 0.0;
  int graphs = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    const Graph graph = test::random_graph(seed);
    IntNetwork network = lower(graph, seed % 2 == 0 ? BatchNormMode::separate : BatchNormMode::fold);
    const Reals input = test::random_reals(graph.input_shape().size(), seed);
    const Ranges ranges = test::ranges_of(graph, {input});
    calibrate(network, ranges);
    for (Layer& layer : network.layers) {
      layer.params = quantise_layer(network, layer, {8, GridScheme::per_channel, GridScale::free, GridRange::max});
    }
    std::vector<std::int8_t> codes(input.size());
    quantise_input(network, std::vector<float>(input.begin(), input.end()), codes);
    const auto output = test::naive_run(network, codes).at(static_cast<std::size_t>(network.output)).values;
    const Reals wanted = test::evaluate(graph, input).at(static_cast<std::size_t>(graph.output));
    double error = 0.0;
    for (std::size_t i = 0; i < wanted.size(); ++i) error += std::abs(static_cast<double>(output[i]) - wanted[i]);
    const auto range = static_cast<double>(ranges[static_cast<std::size_t>(graph.output)]);
    if (range == 0.0) continue;
    error /= range * static_cast<double>(wanted.size());
    // A product or quotient of two activations has the relative errors of both.
    const bool multiplies = std::ranges::any_of(graph.nodes, [](const Node& node) {
      const auto* const combine = std::get_if<FloatCombine>(&node.what);
      return combine != nullptr && (combine->kind == CombineKind::multiply || combine->kind == CombineKind::divide);
    });
    EXPECT_LT(error, multiplies ? 0.08 : 0.06) << "random_graph(" << seed << ")";
    total += error;
    ++graphs;
  }
  EXPECT_LT(total / graphs, 0.012);
}

}  // namespace
}  // namespace qnudge
