// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string_view>

#include "graphs.hpp"
#include "qnudge/core/error.hpp"
#include "support/random_graph.hpp"

namespace qnudge {
namespace {

using test::GraphOf;
using test::Reals;
using test::relu_table;

constexpr BatchNormMode kModes[] = {BatchNormMode::separate, BatchNormMode::fold};

using Kinds = std::vector<std::string_view>;

Kinds kinds(const IntNetwork& network) {
  Kinds all;
  for (const IntNode& node : network.nodes) all.push_back(kind_of(node));
  return all;
}

void expect_near(const Reals& actual, const Reals& wanted, const std::string& what) {
  ASSERT_EQ(actual.size(), wanted.size()) << what;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_NEAR(actual[i], wanted[i], 1e-5 * (1.0 + std::abs(wanted[i]))) << what << " element " << i;
  }
}

/// Every node of the lowered network equals the float node that it stands for, before and after ReLU.
void expect_same_function(const Graph& graph, BatchNormMode mode, std::uint64_t seed) {
  const IntNetwork network = lower(graph, mode);
  const Reals input = test::random_reals(graph.input_shape().size(), seed, 2.0);
  const std::vector<Reals> wanted = test::evaluate(graph, input);
  std::vector<Reals> linear;
  const std::vector<Reals> actual = test::evaluate(network, input, linear);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const IntNode& node = network.nodes[i];
    expect_near(actual[i], wanted.at(static_cast<std::size_t>(node.source)), "node " + node.name);
    EXPECT_EQ(node.shape, graph.nodes.at(static_cast<std::size_t>(node.source)).shape);
    for (const int in : node.inputs) EXPECT_LT(in, static_cast<int>(i));
    if (node.layer() < 0) continue;
    expect_near(linear.at(static_cast<std::size_t>(node.layer())),
                wanted.at(static_cast<std::size_t>(node.linear_source)), "before ReLU of " + node.name);
    EXPECT_EQ(network.layer(node.layer()).node, static_cast<int>(i));
  }
  // Flattening behind a layer that is the output is only ONNX's shape.
  int output = graph.output;
  while (network.flatten_output &&
         graph.nodes.at(static_cast<std::size_t>(output)).what.index() == FloatPrimitive(FloatMove{}).index()) {
    output = graph.nodes.at(static_cast<std::size_t>(output)).inputs[0];
  }
  EXPECT_EQ(network.at(network.output).source, output);
}

class LowerRandom : public testing::TestWithParam<int> {};

TEST_P(LowerRandom, KeepsTheFunctionOfEveryNode) {
  for (int i = 0; i < 25; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 25 + i);
    const Graph graph = test::random_graph(seed);
    ASSERT_LE(graph.nodes.size(), 16u);
    for (const BatchNormMode mode : kModes) {
      SCOPED_TRACE(testing::Message() << "random_graph(" << seed << "), mode " << static_cast<int>(mode));
      expect_same_function(graph, mode, seed);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, LowerRandom, testing::Range(0, 16));

TEST(RandomGraph, CoversEveryOperatorAndIsDeterministic) {
  std::map<std::string_view, int> seen;
  int grouped = 0, transposed = 0, dilated = 0, flat = 0, layer_output = 0, two_readers = 0;
  for (std::uint64_t seed = 0; seed < 700; ++seed) {
    const Graph graph = test::random_graph(seed);
    std::vector<int> readers(graph.nodes.size());
    for (const Node& node : graph.nodes) {
      ++seen[kind_of(node)];
      const FloatLayer layer = node.layer() != nullptr ? *node.layer() : FloatLayer{};
      grouped += layer.conv.groups > 1;
      transposed += layer.conv.transposed;
      dilated += layer.conv.window.dilation_h > 1;
      ASSERT_GT(node.shape.size(), 0) << seed;
      for (const int in : node.inputs) ++readers[static_cast<std::size_t>(in)];
    }
    for (std::size_t i = 0; i < readers.size(); ++i) {
      ASSERT_EQ(readers[i] == 0, static_cast<int>(i) == graph.output) << "seed " << seed << " node " << i;
      two_readers += readers[i] > 1;
    }
    flat += graph.spatial_rank == 1;
    layer_output += lower(graph, BatchNormMode::separate).float_output();
  }
  EXPECT_EQ(seen.size(), 26u);
  for (const auto& [kind, count] : seen) EXPECT_GT(count, 5) << kind;
  for (const int count : {grouped, transposed, dilated, flat, layer_output, two_readers}) EXPECT_GT(count, 20);
  const Graph a = test::random_graph(7), b = test::random_graph(7);
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    ASSERT_EQ(a.nodes[i].what.index(), b.nodes[i].what.index());
    if (a.nodes[i].layer() == nullptr) continue;
    EXPECT_EQ(a.nodes[i].layer()->weights, b.nodes[i].layer()->weights);
  }
}

TEST(Lower, MergesAChainOfBatchNormsAndItsActivation) {
  GraphOf g({2, 2, 1});
  const int conv = g.conv(0, 2, {1, -2}, {0.5f, 0.25f});
  const int first = g.batch_norm(conv, {-2, 0.5f}, {1, 2});
  const int second = g.batch_norm(first, {3, -4}, {0, 1});
  const int clip = g.clip(second, 0.0f, 6.0f);
  g.pool(WindowKind::max, clip, {});
  const IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  EXPECT_EQ(kinds(network), (Kinds{"input", "conv", "max_pool"}));
  const IntNode& node = network.at(1);
  EXPECT_EQ(node.name, "conv1");
  EXPECT_EQ(node.source, clip);
  EXPECT_EQ(node.linear_source, second);
  EXPECT_EQ(node.low, 0);
  EXPECT_EQ(node.clip_high, 6.0);
  const Layer& layer = network.layer(0);
  EXPECT_EQ(layer.name, "conv1");
  EXPECT_EQ(layer.weights, (std::vector<float>{-1, 2}));
  EXPECT_EQ(layer.gain, (std::vector<double>{6, 2}));
  EXPECT_EQ(layer.shift, (std::vector<double>{(0.5 * -2 + 1) * 3, (0.25 * 0.5 + 2) * -4 + 1}));

  const Layer folded = lower(g.graph(), BatchNormMode::fold).layer(0);
  EXPECT_EQ(folded.weights, (std::vector<float>{-6, 4}));
  EXPECT_EQ(folded.gain, (std::vector<double>{1, 1}));
  EXPECT_EQ(folded.shift, layer.shift);
}

TEST(Lower, BatchNormBehindALayerWithTwoReadersStandsAlone) {
  GraphOf g({2, 2, 2});
  const int conv = g.conv(0, 2, {1, 2, 3, 4});
  const int norm = g.batch_norm(conv, {-2, 0}, {1, 2});
  const int relu = g.add(relu_table(), {norm});
  g.add(FloatCombine{}, {conv, relu});
  for (const BatchNormMode mode : kModes) {
    const IntNetwork network = lower(g.graph(), mode);
    EXPECT_EQ(kinds(network), (Kinds{"input", "conv", "conv", "add"}));
    const Layer& alone = network.layer(1);
    EXPECT_FALSE(alone.tunable);
    EXPECT_EQ(alone.conv.groups, 2);
    EXPECT_EQ(alone.filter, (FilterShape{2, 1, 1, 1}));
    EXPECT_EQ(alone.weights, (std::vector<float>{-1, 1}));
    EXPECT_EQ(alone.gain, (std::vector<double>{2, 0}));
    EXPECT_EQ(network.at(2).low, 0);
    EXPECT_EQ(network.at(2).source, relu);
    EXPECT_EQ(network.at(1).low, -128);
    expect_same_function(g.graph(), mode, 1);
  }
}

TEST(Lower, PreActivationBatchNormOfTheInput) {
  GraphOf g({2, 2, 2});
  g.conv(g.add(relu_table(), {g.batch_norm(0, {2, -1}, {0, 1})}), 1, {1, 1});
  const IntNetwork network = lower(g.graph(), BatchNormMode::fold);
  EXPECT_EQ(kinds(network), (Kinds{"input", "conv", "conv"}));
  EXPECT_FALSE(network.layer(0).tunable);
  EXPECT_TRUE(network.layer(1).tunable);
}

TEST(Lower, ReluWithAnotherReaderOfItsProducerBecomesAClamp) {
  GraphOf g({1, 1, 1});
  const int conv = g.conv(0, 1, {1});
  g.concat({conv, g.add(relu_table(), {conv})});
  const IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  EXPECT_EQ(kinds(network), (Kinds{"input", "conv", "clamp", "concat"}));
  EXPECT_EQ(network.at(1).low, -128);
  EXPECT_EQ(network.at(2).low, 0);
}

TEST(Lower, ReluIsNotMergedWhicheverReaderComesFirst) {
  for (const bool relu_first : {false, true}) {
    GraphOf g({1, 1, 1});
    const int conv = g.conv(0, 1, {1});
    const auto relu = [&] { return g.add(relu_table(), {conv}); };
    const auto pool = [&] { return g.pool(WindowKind::max, conv, {}); };
    const int first = relu_first ? relu() : pool();
    g.concat({first, relu_first ? pool() : relu()});
    const IntNetwork network = lower(g.graph(), BatchNormMode::separate);
    EXPECT_EQ(network.nodes.size(), 5u);
    EXPECT_EQ(network.at(1).low, -128);
  }
}

TEST(Lower, AdditionTakesItsActivation) {
  GraphOf g({1, 1, 2});
  const int sum = g.add(FloatCombine{}, {g.conv(0, 2, {1, 2, 3, 4}), 0});
  g.clip(sum, 0.0f, 3.0f);
  const IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  EXPECT_EQ(kinds(network), (Kinds{"input", "conv", "add"}));
  EXPECT_EQ(network.at(2).low, 0);
  EXPECT_EQ(network.at(2).clip_high, 3.0);
  EXPECT_FALSE(network.float_output());
}

TEST(Lower, NodeReadTwiceByOneAdditionIsNotMerged) {
  GraphOf g({1, 1, 1});
  const int conv = g.conv(0, 1, {1});
  g.add(FloatCombine{}, {conv, conv});
  const IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  EXPECT_EQ(network.at(2).inputs, (std::vector{1, 1}));
}

TEST(Lower, OutputLayerIsFloatWithReluButNotWithAnUpperBound) {
  GraphOf relu({1, 1, 1});
  relu.add(relu_table(), {relu.conv(0, 1, {1})});
  const IntNetwork merged = lower(relu.graph(), BatchNormMode::separate);
  EXPECT_TRUE(merged.float_output());
  EXPECT_EQ(merged.at(merged.output).low, 0);

  GraphOf clip({1, 1, 1});
  clip.clip(clip.conv(0, 1, {1}), 0.0f, 6.0f);
  const IntNetwork kept = lower(clip.graph(), BatchNormMode::separate);
  EXPECT_EQ(kinds(kept), (Kinds{"input", "conv", "clamp"}));
  EXPECT_FALSE(kept.float_output());
  EXPECT_EQ(kept.at(1).low, -128);
}

TEST(Lower, DropsWhatTheOutputDoesNotNeed) {
  GraphOf g({1, 1, 1});
  const int conv = g.conv(0, 1, {1});
  g.add(relu_table(), {g.conv(conv, 1, {2})});
  Graph graph = g.graph();
  graph.output = conv;
  const IntNetwork network = lower(graph, BatchNormMode::separate);
  EXPECT_EQ(kinds(network), (Kinds{"input", "conv"}));
  EXPECT_TRUE(network.float_output());
}

TEST(Lower, RefusesMoreTapsThanThirtyTwoBitsHold) {
  const auto gemm = [](std::int64_t channels) {
    GraphOf g({1, 1, channels});
    g.conv(0, 1, std::vector<float>(static_cast<std::size_t>(channels), 0.0f));
    return lower(g.graph(), BatchNormMode::separate);
  };
  EXPECT_NO_THROW(gemm(131071));
  try {
    gemm(131072);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find("conv1"), std::string::npos);
  }
}

TEST(Lower, GeneralClipKeepsItsBoundsAsAClamp) {
  const float infinity = std::numeric_limits<float>::infinity();
  const auto clamp = [](float low, float high) {
    GraphOf g({1, 1, 1});
    g.clip(g.conv(0, 1, {1}), low, high);
    g.pool(WindowKind::max, 2, {});
    const IntNetwork network = lower(g.graph(), BatchNormMode::separate);
    return kind_of(network.at(2)) == "clamp" ? network.at(2) : IntNode{};
  };
  EXPECT_EQ(clamp(-1, 1).clip_low, -1.0);
  EXPECT_EQ(clamp(-1, 1).clip_high, 1.0);
  EXPECT_EQ(clamp(-infinity, 2).clip_low, 0.0);
  EXPECT_EQ(clamp(-infinity, 2).low, -128);
  EXPECT_EQ(clamp(-3, 0).high, 0);
  EXPECT_EQ(clamp(0.5f, infinity).high, 127);
  EXPECT_EQ(clamp(0, 0).low, 0);
  EXPECT_EQ(clamp(0, 0).high, 0);
}

TEST(Lower, AFlattenedLayerIsStillAFloatOutput) {
  GraphOf g({4, 4, 2});
  const int conv = g.conv(0, 3, {1.0, 2.0, 3.0, 4.0, 5.0, 6.0});
  const int relu = g.add(relu_table(), {conv});
  g.add(FloatMove{}, {relu});
  IntNetwork network = lower(g.graph(), BatchNormMode::separate);
  EXPECT_TRUE(network.float_output());
  EXPECT_TRUE(network.flatten_output);
  EXPECT_EQ(network.nodes.size(), 2u);
  EXPECT_EQ(network.at(network.output).low, 0);
  EXPECT_EQ(network.at(network.output).shape, (Shape{4, 4, 3}));
}

TEST(Lower, FlatteningCodesStaysAView) {
  GraphOf bounded({4, 4, 2});
  const int clip = bounded.clip(bounded.conv(0, 1, {1.0, 2.0}), 0.0f, 1.0f);
  bounded.graph();
  GraphOf pooled({4, 4, 2});
  pooled.add(FloatMove{}, {pooled.pool(WindowKind::max, pooled.conv(0, 1, {1.0, 2.0}), {})});
  EXPECT_FALSE(lower(pooled.graph(), BatchNormMode::separate).float_output());
  EXPECT_FALSE(lower(pooled.graph(), BatchNormMode::separate).flatten_output);
  Graph graph = bounded.graph();
  Node flatten;
  flatten.what = FloatMove{};
  flatten.name = "flat";
  flatten.inputs = {clip};
  flatten.shape = {1, 1, 16};
  graph.nodes.push_back(flatten);
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  const IntNetwork network = lower(graph, BatchNormMode::separate);
  EXPECT_FALSE(network.float_output()) << "a float output has no upper bound";
}

}  // namespace
}  // namespace qnudge
