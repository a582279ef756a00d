// SPDX-License-Identifier: MIT
// Normalisations, products of activations and reductions: what the imported graph computes, against the operators'
// definitions, in ONNX's own order.
#include <cmath>

#include "import_support.hpp"
#include "naive_graph.hpp"
#include "support/random_graph.hpp"

namespace qnudge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> kinds(const Graph& graph) {
  std::vector<std::string> all;
  for (const Node& node : graph.nodes) all.emplace_back(kind_of(node));
  return all;
}

/// An input of channels first as NHWC.
Tensor planar(const Shape& s, const Tensor& x) {
  Tensor y(x.size());
  for (std::int64_t c = 0; c < s.c; ++c) {
    for (std::int64_t p = 0; p < s.h * s.w; ++p) {
      y[static_cast<std::size_t>(p * s.c + c)] = x[static_cast<std::size_t>(c * s.h * s.w + p)];
    }
  }
  return y;
}

Tensor waves(std::int64_t count) {
  Tensor x;
  for (std::int64_t i = 0; i < count; ++i) x.push_back(std::sin(0.7 * static_cast<double>(i)) * 2 + 0.1);
  return x;
}

/// The output in ONNX's order of an input in ONNX's order, both [N, C, ...].
Tensor run(const Graph& graph, const Tensor& x) {
  const Tensor y = NaiveGraph(graph).run(planar(graph.input_shape(), x));
  const Shape& s = graph.output_shape();
  if (graph.ends.output_channels_last) return y;
  return planar({1, s.c, s.h * s.w}, y);
}

void expect_near(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-5) << i;
}

/// x, [C, L], normalised over C.
Tensor layer_norm(const Tensor& x, std::size_t c, std::size_t l, double epsilon, bool centred) {
  Tensor y(x.size());
  for (std::size_t p = 0; p < l; ++p) {
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < c; ++i) mean += centred ? x[i * l + p] / static_cast<double>(c) : 0;
    for (std::size_t i = 0; i < c; ++i) square += std::pow(x[i * l + p] - mean, 2) / static_cast<double>(c);
    for (std::size_t i = 0; i < c; ++i) {
      y[i * l + p] = (x[i * l + p] - mean) / std::sqrt(square + epsilon) * (0.5 + static_cast<double>(i)) + 0.25;
    }
  }
  return y;
}

/// The spelling of torch's exporter before opset 17, over axis 1.
OnnxBuilder spelled_norm(bool centred, bool twice) {
  OnnxBuilder model({-1, 3, 4}, 13);
  model.floats("two", {}, {2});
  model.floats("eps", {}, {0.01f});
  model.floats("gain", {3, 1}, {0.5f, 1.5f, 2.5f});
  model.floats("shift", {1}, {0.25f});
  set(model.node("ReduceMean", {"x"}, "mean"), "axes", {1});
  model.node("Sub", {"x", "mean"}, "d");
  if (twice) model.node("Sub", {"x", "mean"}, "e");
  const std::string d = centred ? "d" : "x";
  model.node("Pow", {d, "two"}, "p");
  set(model.node("ReduceMean", {"p"}, "v"), "axes", {1});
  model.node("Add", {"v", "eps"}, "a");
  model.node("Sqrt", {"a"}, "s");
  model.node("Div", {twice ? "e" : d, "s"}, "q");
  model.node("Mul", {"q", "gain"}, "g");
  model.node("Add", {"g", "shift"}, "y");
  return model;
}

TEST(Normalisation, SpelledByPrimitivesIsOneNode) {
  const Tensor x = waves(12);
  for (const bool twice : {false, true}) {
    const Graph graph = import(spelled_norm(true, twice).output("y"));
    EXPECT_THAT(kinds(graph), ElementsAre("input", "layer_norm"));
    expect_near(run(graph, x), layer_norm(x, 3, 4, 0.01, true));
  }
  const Graph graph = import(spelled_norm(false, false).output("y"));
  EXPECT_THAT(kinds(graph), ElementsAre("input", "rms_norm"));
  expect_near(run(graph, x), layer_norm(x, 3, 4, 0.01, false));
}

TEST(Normalisation, GroupsSpelledByReshapesAreOneNode) {
  OnnxBuilder model({-1, 4, 2, 3}, 13);
  model.integers("groups", {0, 2, -1});
  model.integers("back", {0, 4, 2, 3});
  model.floats("ones", {2}, {1, 1});
  model.floats("zeros", {2}, {0, 0});
  model.floats("gain", {4, 1, 1}, {0.5f, 1.5f, 2.5f, 3.5f});
  model.floats("shift", {4, 1, 1}, {1, 2, 3, 4});
  model.node("Reshape", {"x", "groups"}, "r");
  model.node("InstanceNormalization", {"r", "ones", "zeros"}, "i");
  model.node("Reshape", {"i", "back"}, "b");
  model.node("Mul", {"b", "gain"}, "m");
  model.node("Add", {"m", "shift"}, "y");
  const Graph graph = import(model.output("y"));
  EXPECT_THAT(kinds(graph), ElementsAre("input", "group_norm"));
  const Tensor x = waves(24), y = run(graph, x);
  for (std::size_t g = 0; g < 2; ++g) {
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < 12; ++i) mean += x[g * 12 + i] / 12;
    for (std::size_t i = 0; i < 12; ++i) square += std::pow(x[g * 12 + i] - mean, 2) / 12;
    for (std::size_t i = 0; i < 12; ++i) {
      const double c = static_cast<double>(2 * g + i / 6);
      EXPECT_NEAR(y[g * 12 + i], (x[g * 12 + i] - mean) / std::sqrt(square + 1e-5) * (0.5 + c) + 1 + c, 1e-5);
    }
  }
}

TEST(Softmax, IsOverWhateverAxis) {
  for (const int axis : {1, 2, -1}) {
    OnnxBuilder model({-1, 3, 2, 4}, 13);
    set(model.node("Softmax", {"x"}, "s"), "axis", axis);
    model.node("Relu", {"s"}, "y");
    const Tensor x = waves(24), y = run(import(model.output("y")), x);
    const std::size_t extent = axis == 1 ? 3 : axis == 2 ? 2 : 4, step = axis == 1 ? 8 : axis == 2 ? 4 : 1;
    for (std::size_t i = 0; i < 24; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k < extent; ++k) sum += std::exp(x[i - i / step % extent * step + k * step]);
      EXPECT_NEAR(y[i], std::exp(x[i]) / sum, 1e-6) << axis << " " << i;
    }
  }
}

TEST(Product, OfTwoActivationsTakesItsScale) {
  for (const bool turned : {false, true}) {
    OnnxBuilder model({-1, 2, 3, turned ? 4 : 3}, 13);
    model.floats("scale", {}, {0.5f});
    set(model.node("Transpose", {"x"}, "t"), "perm", {0, 1, 3, 2});
    model.node("MatMul", {"x", turned ? "t" : "x"}, "m");
    model.node("Mul", {"m", "scale"}, "y");
    const Graph graph = import(model.output("y"));
    EXPECT_THAT(kinds(graph), ::testing::Contains("product"));
    EXPECT_THAT(kinds(graph), ::testing::Not(::testing::Contains("batch_norm")));
    const std::size_t depth = turned ? 4 : 3;
    const Tensor x = waves(static_cast<std::int64_t>(6 * depth)), y = run(graph, x);
    ASSERT_EQ(y.size(), 18u);
    for (std::size_t i = 0; i < 18; ++i) {
      const std::size_t h = i / 9, r = i / 3 % 3, c = i % 3;
      double sum = 0;
      for (std::size_t k = 0; k < depth; ++k) {
        const std::size_t other = turned ? (h * 3 + c) * depth + k : (h * 3 + k) * depth + c;
        sum += x[(h * 3 + r) * depth + k] * x[other];
      }
      EXPECT_NEAR(y[i], sum / 2, 1e-6);
    }
  }
}

TEST(Reduction, IsOverWhateverAxes) {
  const Tensor x = waves(24);  // [3, 2, 4]
  for (const char* type : {"ReduceMean", "ReduceMax", "ReduceSum"}) {
    for (const std::vector<std::int64_t>& axes :
         std::vector<std::vector<std::int64_t>>{{1}, {2}, {3}, {1, 3}, {2, 3}}) {
      OnnxBuilder model({-1, 3, 2, 4}, 18);
      model.integers("axes", axes);
      model.node(type, {"x", "axes"}, "y");
      const Tensor y = run(import(model.output("y")), x);
      const std::size_t extents[] = {3, 2, 4};
      std::size_t kept[3], reduced = 1;
      for (std::size_t a = 0; a < 3; ++a) {
        const bool gone = std::ranges::find(axes, static_cast<std::int64_t>(a) + 1) != axes.end();
        kept[a] = gone ? 1 : extents[a];
        reduced *= gone ? extents[a] : 1;
      }
      Tensor wanted(kept[0] * kept[1] * kept[2], std::string(type) == "ReduceMax" ? -1e9 : 0.0);
      for (std::size_t i = 0; i < 24; ++i) {
        const std::size_t a = i / 8 % kept[0], b = i / 4 % 2 % kept[1], c = i % 4 % kept[2];
        double& to = wanted[(a * kept[1] + b) * kept[2] + c];
        to = std::string(type) == "ReduceMax" ? std::max(to, x[i]) : to + x[i];
      }
      if (std::string(type) == "ReduceMean") {
        for (double& v : wanted) v /= static_cast<double>(reduced);
      }
      expect_near(y, wanted);
    }
  }
}

TEST(Normalisation, MustNotMixSamples) {
  OnnxBuilder model({-1, 3, 4}, 13);
  set(model.node("Softmax", {"x"}, "s"), "axis", 0);
  model.node("Relu", {"s"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("over the samples"));
}

TEST(Attention, SurvivesTheExportOfRandomGraphs) {
  int seen = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Graph graph = random_graph(seed);
    const ScratchFile file;
    export_float_onnx(graph, file.path());
    const Graph back = import_onnx(file.path());
    const Tensor x = waves(graph.input_shape().size());
    const Tensor a = NaiveGraph(graph).run(x), b = NaiveGraph(back).run(x);
    ASSERT_EQ(a.size(), b.size()) << seed;
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-3 * (1 + std::abs(a[i]))) << seed << " " << i;
    for (const std::string& kind : kinds(graph)) seen += kind == "product" || kind.ends_with("_norm");
  }
  EXPECT_GT(seen, 20);
}

TEST(Normalise, ALengthAsExportersSpellIt) {
  OnnxBuilder model({-1, 3, 4}, 17);
  model.floats("least", {}, {1e-12f});
  set(set(model.node("ReduceL2", {"x"}, "l"), "axes", {1}), "keepdims", 1);
  model.node("Clip", {"l", "least"}, "c");
  model.node("Shape", {"x"}, "s");
  model.node("Expand", {"c", "s"}, "e");
  model.node("Div", {"x", "e"}, "y");
  const Graph graph = import(model.output("y"));
  EXPECT_THAT(kinds(graph), ElementsAre("input", "rms_norm"));
  const Tensor x = waves(12);
  Tensor wanted(12);
  for (std::size_t p = 0; p < 4; ++p) {
    const double length = std::hypot(x[p], x[4 + p], x[8 + p]);
    for (std::size_t c = 0; c < 3; ++c) wanted[c * 4 + p] = x[c * 4 + p] / length;
  }
  expect_near(run(graph, x), wanted);
}

/// [N, 2, 3] beside a constant [1, 2, 2] that is repeated for every sample.
TEST(Constants, AreJoinedToActivations) {
  for (const auto& values : {std::vector<float>{7, 7, 7, 7}, {5, 6, 5, 6}, {1, 2, 3, 4}}) {
    OnnxBuilder model({-1, 2, 3}, 17);
    model.floats("token", {1, 2, 2}, values);
    model.integers("first", {0});
    model.integers("rest", {2, 2});
    model.node("Shape", {"x"}, "s");
    model.node("Gather", {"s", "first"}, "n");
    set(model.node("Concat", {"n", "rest"}, "wide"), "axis", 0);
    model.node("Expand", {"token", "wide"}, "tokens");
    set(model.node("Concat", {"tokens", "x"}, "y"), "axis", 2);
    const Tensor x = waves(6);
    Tensor wanted;
    for (std::size_t c = 0; c < 2; ++c) {
      for (std::size_t i = 0; i < 2; ++i) wanted.push_back(static_cast<double>(values[c * 2 + i]));
      for (std::size_t i = 0; i < 3; ++i) wanted.push_back(x[c * 3 + i]);
    }
    expect_near(run(import(model.output("y")), x), wanted);
  }
}

TEST(Constants, PadChannelsAndImagesByAnyValue) {
  OnnxBuilder model({-1, 1, 2, 2}, 17);
  model.integers("pads", {0, 1, 0, 0, 0, 0, 1, 0});
  model.floats("fill", {}, {2.5f});
  model.node("Pad", {"x", "pads", "fill"}, "p");
  const Tensor x = waves(4), y = run(import(model.output("p")), x);
  expect_near(y, {2.5, 2.5, 2.5, 2.5, 2.5, 2.5, x[0], x[1], x[2], x[3], 2.5, 2.5});
}

/// Sequences with the samples behind the positions, as multi-head attention keeps them.
TEST(Samples, MayStandBehindPositions) {
  for (const std::int64_t batch : {-1, 1, 2}) {
    OnnxBuilder model({batch, 3, 5}, 17);
    set(model.node("Transpose", {"x"}, "t"), "perm", {2, 0, 1});  // [L, N, C]
    model.integers("rows", {-1, 3});
    model.node("Reshape", {"t", "rows"}, "r");
    model.floats("w", {3, 2}, {1, 0, 0, 1, 1, 1});
    model.floats("b", {2}, {0, 0});
    model.node("Gemm", {"r", "w", "b"}, "g");
    model.integers("apart", {5, -1, 2});
    model.node("Reshape", {"g", "apart"}, "a");
    set(model.node("Transpose", {"a"}, "y"), "perm", {1, 2, 0});
    const Tensor x = waves(15);
    Tensor wanted(10);
    for (std::size_t l = 0; l < 5; ++l) {
      wanted[l] = x[l] + x[10 + l];
      wanted[5 + l] = x[5 + l] + x[10 + l];
    }
    expect_near(run(import(model.output("y")), x), wanted);
  }
}

}  // namespace
}  // namespace qnudge::test
