// SPDX-License-Identifier: MIT
// Functions of one element and combinations of two: what they become, and their values.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "import_support.hpp"
#include "naive_graph.hpp"

namespace qnudge::test {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pointwise;

const std::vector<double>& points() {
  static const std::vector<double> all{-4, -1.5, -0.25, 0, 0.75, 1, 2.5, 5};
  return all;
}

/// The model's value at each point; its input is [N, 1, 2, 4].
std::vector<double> values(const Graph& graph) {
  return NaiveGraph(graph).run(points());
}

std::vector<double> mapped(const std::function<double(double)>& f) {
  std::vector<double> all;
  for (const double x : points()) all.push_back(f(x));
  return all;
}

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}
double normal_part(double x) {
  return 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
}
double soft(double x) {
  return std::log1p(std::exp(x));
}

struct Unary {
  std::string type;
  std::function<double(double)> expected;
  std::function<void(onnx::NodeProto&)> attributes = [](onnx::NodeProto&) {};
};

TEST(Unary, EveryOperatorIsOneTable) {
  const auto alpha = [](float value) { return [value](onnx::NodeProto& node) { set(node, "alpha", value); }; };
  const std::vector<Unary> all = {
      {"Abs", [](double x) { return std::abs(x); }},
      {"Ceil", [](double x) { return std::ceil(x); }},
      {"Celu", [](double x) { return std::max(x, 0.0) + std::min(0.0, 0.5 * std::expm1(x / 0.5)); }, alpha(0.5f)},
      {"Elu", [](double x) { return x > 0 ? x : std::expm1(x); }},
      {"Elu", [](double x) { return x > 0 ? x : 0.25 * std::expm1(x); }, alpha(0.25f)},
      {"Erf", [](double x) { return std::erf(x); }},
      {"Exp", [](double x) { return std::exp(x); }},
      {"Floor", [](double x) { return std::floor(x); }},
      {"Gelu", [](double x) { return x * normal_part(x); }},
      {"HardSigmoid", [](double x) { return std::clamp(0.2 * x + 0.5, 0.0, 1.0); }},
      {"HardSwish", [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); }},
      {"LeakyRelu", [](double x) { return x > 0 ? x : 0.125 * x; }, alpha(0.125f)},
      {"Mish", [](double x) { return x * std::tanh(soft(x)); }},
      {"Neg", [](double x) { return -x; }},
      {"Round", [](double x) { return std::nearbyint(x); }},
      {"Selu", [](double x) { return 1.05070098 * (x > 0 ? x : 1.67326324 * std::expm1(x)); }},
      {"Sigmoid", logistic},
      {"Softplus", soft},
      {"Softsign", [](double x) { return x / (1 + std::abs(x)); }},
      {"Tanh", [](double x) { return std::tanh(x); }},
      {"ThresholdedRelu", [](double x) { return x > 0.75 ? x : 0; }, alpha(0.75f)},
  };
  for (const Unary& item : all) {
    SCOPED_TRACE(item.type);
    OnnxBuilder model({-1, 1, 2, 4}, 22);
    item.attributes(model.node(item.type, {"x"}, "y"));
    model.node("Identity", {"y"}, "z");  // so that a Sigmoid is no head
    model.node("Relu", {"z"}, "r");
    model.node("Flatten", {"z"}, "o");
    const Graph graph = import(model.output("o"));
    ASSERT_TRUE(std::holds_alternative<FloatTable>(graph.nodes[1].what) ||
                std::holds_alternative<FloatBatchNorm>(graph.nodes[1].what));
    EXPECT_EQ(graph.nodes[1].name, "y");
    EXPECT_THAT(values(graph), Pointwise(DoubleNear(2e-6), mapped(item.expected)));
  }
}

/// The graph of `model`, whose output is "y": one table behind the input.
Graph one_table(OnnxBuilder& model) {
  model.node("Flatten", {"y"}, "o");
  const Graph graph = import(model.output("o"));
  EXPECT_EQ(kind_of(graph.nodes.at(1)), "table");
  EXPECT_EQ(graph.nodes.size(), 3u);
  return graph;
}

TEST(Chain, BranchesOverTheSameTensorMeetAgain) {
  OnnxBuilder silu({-1, 1, 2, 4});
  silu.node("Sigmoid", {"x"}, "s");
  silu.node("Mul", {"s", "x"}, "y");
  EXPECT_THAT(values(one_table(silu)), Pointwise(DoubleNear(1e-12), mapped([](double x) { return x * logistic(x); })));

  OnnxBuilder hard({-1, 1, 2, 4});
  hard.floats("three", {}, {3});
  hard.floats("six", {1}, {6});
  hard.floats("zero", {}, {0});
  hard.node("Add", {"x", "three"}, "a");
  hard.node("Clip", {"a", "zero", "six"}, "c");
  hard.node("Mul", {"x", "c"}, "m");
  hard.node("Div", {"m", "six"}, "y");
  EXPECT_THAT(values(one_table(hard)),
              Pointwise(DoubleNear(1e-12), mapped([](double x) { return x * std::clamp(x + 3, 0.0, 6.0) / 6; })));

  OnnxBuilder gelu({-1, 1, 2, 4});
  gelu.floats("root", {}, {std::sqrt(2.0f)});
  gelu.floats("one", {}, {1});
  gelu.floats("half", {}, {0.5});
  gelu.node("Div", {"x", "root"}, "d");
  gelu.node("Erf", {"d"}, "e");
  gelu.node("Add", {"e", "one"}, "a");
  gelu.node("Mul", {"x", "a"}, "m");
  gelu.node("Mul", {"m", "half"}, "y");
  EXPECT_THAT(values(one_table(gelu)),
              Pointwise(DoubleNear(1e-6), mapped([](double x) { return x * normal_part(x); })));

  OnnxBuilder mish({-1, 1, 2, 4});
  mish.node("Softplus", {"x"}, "p");
  mish.node("Tanh", {"p"}, "t");
  mish.node("Mul", {"x", "t"}, "y");
  EXPECT_THAT(values(one_table(mish)),
              Pointwise(DoubleNear(1e-12), mapped([](double x) { return x * std::tanh(soft(x)); })));

  OnnxBuilder cube({-1, 1, 2, 4});
  cube.floats("three", {}, {3});
  cube.floats("two", {}, {2});
  cube.node("Pow", {"x", "three"}, "p");
  cube.node("Pow", {"two", "x"}, "q");
  cube.node("Sub", {"p", "q"}, "y");
  EXPECT_THAT(values(one_table(cube)),
              Pointwise(DoubleNear(1e-12), mapped([](double x) { return x * x * x - std::exp2(x); })));
}

TEST(Chain, IsOneNodeForAllItsReaders) {
  OnnxBuilder model({-1, 2, 2, 2});
  model.node("Tanh", {"x"}, "t");
  model.node("MaxPool", {"t"}, "p");
  set(*model.graph().mutable_node(1), "kernel_shape", {1, 1});
  model.node("Mul", {"p", "t"}, "y");
  const Graph graph = import(model.output("y"));
  ASSERT_EQ(graph.nodes.size(), 4u);
  EXPECT_EQ(kind_of(graph.nodes[3]), "multiply");
  EXPECT_THAT(graph.nodes[3].inputs, ElementsAre(2, 1));
}

TEST(Chain, BoundsAndLinesBehindWeightsStayRecognisable) {
  OnnxBuilder model({-1, 1, 2, 4});
  model.floats("w", {2, 1, 1, 1}, {1, -2});
  model.floats("scale", {1, 2, 1, 1}, {3, 0.5});
  model.floats("shift", {2, 1, 1}, {1, -1});
  model.node("Conv", {"x", "w"}, "c");
  model.node("Mul", {"c", "scale"}, "m");
  model.node("Add", {"m", "shift"}, "a");
  model.node("Relu", {"a"}, "r");
  model.node("Tanh", {"r"}, "t");
  const Graph graph = import(model.output("t"));
  ASSERT_EQ(graph.nodes.size(), 5u);
  EXPECT_THAT((std::vector{kind_of(graph.nodes[2]), kind_of(graph.nodes[3]), kind_of(graph.nodes[4])}),
              ElementsAre("batch_norm", "relu", "table"));
  EXPECT_THAT(batch_norm_of(graph.nodes[2]).scale, ElementsAre(3, 0.5));
  EXPECT_THAT(batch_norm_of(graph.nodes[2]).shift, ElementsAre(1, -1));
}

TEST(PRelu, OneSlopeOrOnePerChannel) {
  OnnxBuilder model({-1, 2, 1, 2});
  model.floats("slope", {2, 1, 1}, {0.5, 0.25});
  model.node("PRelu", {"x", "slope"}, "y");
  const Graph graph = import(model.output("y"));
  EXPECT_THAT(NaiveGraph(graph).run({-1, -1, 2, -3}), ElementsAre(-0.5, -0.25, 2, -0.75));
  const ScratchFile file;
  export_float_onnx(graph, file.path());
  EXPECT_THAT(NaiveGraph(import_onnx(file.path())).run({-1, -1, 2, -3}), ElementsAre(-0.5, -0.25, 2, -0.75));
  OnnxBuilder wide({-1, 2, 1, 2});
  wide.floats("slope", {1, 1, 2}, {1, 2});
  wide.node("PRelu", {"x", "slope"}, "y");
  EXPECT_THAT(refusal(wide.output("y")), HasSubstr("its slopes of shape [1, 1, 2] meet [N, 2, 1, 2]"));
}

/// x [N, 2, 2, 2] in NCHW order with `type` and the mean over `axes`.
std::vector<double> with_mean(const std::string& type, bool mean_first, const std::vector<std::int64_t>& axes) {
  OnnxBuilder model({-1, 2, 2, 2});
  model.floats("w", {1, 2, 1, 1}, {1, 1});
  model.node("GlobalAveragePool", {"x"}, "g");
  if (axes.size() == 1) {
    model.node("Conv", {"x", "w"}, "s");
  } else {
    model.node(axes.empty() ? "Conv" : "Identity",
               axes.empty() ? std::vector<std::string>{"g", "w"} : std::vector<std::string>{"g"}, "s");
  }
  model.node(type, mean_first ? std::vector<std::string>{"s", "x"} : std::vector<std::string>{"x", "s"}, "y");
  return NaiveGraph(import(model.output("y")))
      .run({1, 10, 2, 20, 3, 30, 6, 40});  // NHWC: channels 1 2 3 6, 10 20 30 40
}

TEST(Combine, BroadcastsOverSpaceChannelsAndSamples) {
  EXPECT_THAT(with_mean("Mul", false, {2, 3}), ElementsAre(3, 250, 6, 500, 9, 750, 18, 1000));  // means 3 and 25
  EXPECT_THAT(with_mean("Sub", true, {2, 3}), ElementsAre(2, 15, 1, 5, 0, -5, -3, -15));
  EXPECT_THAT(with_mean("Max", false, {1}), ElementsAre(11, 11, 22, 22, 33, 33, 46, 46));  // sums over channels
  EXPECT_THAT(with_mean("Div", true, {}), ElementsAre(28, 2.8, 14, 1.4, 28.0 / 3, 28.0 / 30, 28.0 / 6, 0.7));
}

TEST(Combine, SeveralOperandsFromLeftToRight) {
  OnnxBuilder model({-1, 1, 1, 2});
  model.floats("w", {1, 1, 1, 1}, {2});
  model.floats("v", {1, 1, 1, 1}, {-3});
  model.floats("one", {}, {1});
  model.node("Conv", {"x", "w"}, "a");
  model.node("Conv", {"x", "v"}, "b");
  model.node("Sum", {"a", "one", "b", "x"}, "s");
  model.node("Mean", {"s", "b", "a"}, "m");
  model.node("Min", {"m", "a"}, "y");
  // x = 3: a 6, b -9, s 1, m -2/3; x = -1: a -2, b 3, s 1, m 2/3
  EXPECT_THAT(NaiveGraph(import(model.output("y"))).run({3, -1}), Pointwise(DoubleNear(1e-6), {-2.0 / 3, -2.0}));
}

TEST(Combine, AConstantOfAnyShape) {
  const auto run = [](const std::vector<std::int64_t>& dims, const std::vector<float>& constant, bool first) {
    OnnxBuilder model({-1, 2, 1, 2});
    model.floats("c", dims, constant);
    model.node("Sub", first ? std::vector<std::string>{"c", "x"} : std::vector<std::string>{"x", "c"}, "y");
    const Graph graph = import(model.output("y"));
    const std::vector<double> nhwc{1, 3, 2, 4};  // channels 1 2 and 3 4
    const ScratchFile file;
    export_float_onnx(graph, file.path());
    EXPECT_EQ(NaiveGraph(graph).run(nhwc), NaiveGraph(import_onnx(file.path())).run(nhwc));
    return NaiveGraph(graph).run(nhwc);
  };
  EXPECT_THAT(run({2, 1, 2}, {10, 20, 30, 40}, false), ElementsAre(-9, -27, -18, -36));
  EXPECT_THAT(run({1, 2, 1, 2}, {10, 20, 30, 40}, true), ElementsAre(9, 27, 18, 36));
  EXPECT_THAT(run({2}, {10, 20}, true), ElementsAre(9, 7, 18, 16));
  EXPECT_THAT(run({2, 1, 1}, {10, 20}, true), ElementsAre(9, 17, 8, 16));
  OnnxBuilder model({-1, 2, 1, 2});
  model.floats("c", {3}, {1, 2, 3});
  model.node("Sub", {"x", "c"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("its constant of shape [3] does not broadcast to [N, 2, 1, 2]"));
}

TEST(Combine, RefusesWhatDoesNotFit) {
  OnnxBuilder zero({-1, 2, 1, 2});
  zero.floats("c", {2, 1, 1}, {1, 0});
  zero.node("Div", {"x", "c"}, "y");
  EXPECT_THAT(refusal(zero.output("y")), HasSubstr("it divides by 0"));
  OnnxBuilder power({-1, 2, 1, 2});
  power.node("Tanh", {"x"}, "t");
  power.node("Pow", {"x", "t"}, "y");
  EXPECT_THAT(refusal(power.output("y")), HasSubstr("both the base and the exponent are activations"));
}

}  // namespace
}  // namespace qnudge::test
