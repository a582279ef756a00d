// SPDX-License-Identifier: MIT
// Constants and shapes that are computed at import.
#include <cmath>

#include "import_support.hpp"
#include "naive_graph.hpp"

namespace qnudge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;
using ::testing::Pointwise;

/// A model whose 1x1 convolution over two channels has the bias "b", which `build` computes.
template <class Build>
std::vector<float> bias(Build build, int opset = 13) {
  OnnxBuilder model({-1, 2, 4, 4}, opset);
  model.floats("w", {2, 2, 1, 1}, {1, 0, 0, 1});
  build(model);
  model.node("Conv", {"x", "w", "b"}, "y");
  return layer_of(import(model.output("y")).nodes.at(1)).bias;
}

TEST(Fold, FloatArithmeticRoundsOnce) {
  const std::vector<float> a{1.1f, -2.7f}, c{3.3f, 0.7f};
  const auto binary = [&](const char* type) {
    return bias([&](OnnxBuilder& model) {
      model.floats("a", {2}, a);
      model.floats("c", {2}, c);
      model.node(type, {"a", "c"}, "b");
    });
  };
  EXPECT_THAT(binary("Add"), ElementsAre(1.1f + 3.3f, -2.7f + 0.7f));
  EXPECT_THAT(binary("Sub"), ElementsAre(1.1f - 3.3f, -2.7f - 0.7f));
  EXPECT_THAT(binary("Mul"), ElementsAre(1.1f * 3.3f, -2.7f * 0.7f));
  EXPECT_THAT(binary("Div"), ElementsAre(1.1f / 3.3f, -2.7f / 0.7f));
  EXPECT_THAT(binary("Max"), ElementsAre(3.3f, 0.7f));
  EXPECT_THAT(binary("Min"), ElementsAre(1.1f, -2.7f));
  const auto unary = [&](const char* type) {
    return bias([&](OnnxBuilder& model) {
      model.floats("a", {2}, a);
      model.node(type, {"a"}, "b");
    });
  };
  EXPECT_THAT(unary("Neg"), ElementsAre(-1.1f, 2.7f));
  EXPECT_THAT(unary("Abs"), ElementsAre(1.1f, 2.7f));
  EXPECT_THAT(unary("Floor"), ElementsAre(1, -3));
  EXPECT_THAT(unary("Ceil"), ElementsAre(2, -2));
  EXPECT_THAT(unary("Round"), ElementsAre(1, -3));
  EXPECT_THAT(unary("Relu"), ElementsAre(1.1f, 0));
  EXPECT_THAT(unary("Exp"), Pointwise(FloatEq(), {std::exp(1.1f), std::exp(-2.7f)}));
  EXPECT_THAT(unary("Sigmoid"), Pointwise(FloatEq(), {0.750260106f, 0.062973356f}));
}

TEST(Fold, WeightNormalisation) {
  // w = g * v / ||v|| over all but the first axis, as old exporters spell it.
  OnnxBuilder model({-1, 2, 1, 1});
  model.floats("v", {2, 2, 1, 1}, {3, 4, 6, 8});
  model.floats("g", {2, 1, 1, 1}, {10, 20});
  set(set(model.node("ReduceL2", {"v"}, "n"), "axes", {1, 2, 3}), "keepdims", 1);
  model.node("Div", {"v", "n"}, "d");
  model.node("Mul", {"g", "d"}, "w");
  model.node("Conv", {"x", "w"}, "y");
  EXPECT_THAT(layer_of(import(model.output("y")).nodes.at(1)).weights, Pointwise(FloatEq(), {6.f, 8.f, 12.f, 16.f}));
}

TEST(Fold, RunningSums) {
  const auto sums = [](std::int64_t axis) {
    OnnxBuilder model({-1, 3, 1, 1});
    model.floats("v", {2, 3}, {1, 2, 3, 4, 5, 6});
    model.integers("axis", {axis});
    model.node("CumSum", {"v", "axis"}, "c");
    model.integers("shape", {2, 3, 1, 1});
    model.node("Reshape", {"c", "shape"}, "w");
    model.node("Conv", {"x", "w"}, "y");
    return layer_of(import(model.output("y")).nodes.at(1)).weights;
  };
  EXPECT_THAT(sums(0), ElementsAre(1, 2, 3, 5, 7, 9));
  EXPECT_THAT(sums(-1), ElementsAre(1, 3, 6, 4, 9, 15));
}

TEST(Fold, WeightsMayBeStandardisedByBatchNormalization) {
  // One row of weights per filter, normalised by its own mean and variance, as networks without BatchNorm do.
  const auto weights = [](bool training) {
    OnnxBuilder model({-1, 4, 1, 1}, 15);
    model.floats("v", {1, 2, 4}, {1, 3, 1, 3, 10, 10, 30, 30});
    model.floats("gain", {2}, {2, 1});
    model.floats("bias", {2}, {0, 5});
    model.floats("mean", {2}, {1, 10});
    model.floats("variance", {2}, {4, 16});
    auto& norm = set(model.node("BatchNormalization", {"v", "gain", "bias", "mean", "variance"}, "n"), "epsilon", 0.0f);
    set(norm, "training_mode", training ? 1 : 0);
    model.integers("shape", {2, 4, 1, 1});
    model.node("Reshape", {"n", "shape"}, "w");
    model.node("Conv", {"x", "w"}, "y");
    return layer_of(import(model.output("y")).nodes.at(1)).weights;
  };
  EXPECT_THAT(weights(true), ElementsAre(-2, 2, -2, 2, 4, 4, 6, 6));
  EXPECT_THAT(weights(false), ElementsAre(0, 2, 0, 2, 5, 5, 10, 10));
}

TEST(Fold, WeightsMayBeTransposedReshapedAndSliced) {
  OnnxBuilder model({-1, 3, 1, 1});
  model.floats("v", {3, 4}, counting(12));
  set(model.node("Transpose", {"v"}, "t"), "perm", {1, 0});
  model.integers("starts", {1});
  model.integers("ends", {3});
  model.integers("axes", {0});
  model.node("Slice", {"t", "starts", "ends", "axes"}, "s");
  model.integers("shape", {2, 3, 1, -1});
  model.node("Reshape", {"s", "shape"}, "w");
  model.node("Conv", {"x", "w"}, "y");
  EXPECT_THAT(layer_of(import(model.output("y")).nodes.at(1)).weights, ElementsAre(2, 6, 10, 3, 7, 11));
}

/// A network that is flattened by the shape that `build` computes into "s" of the extents in "e" = Shape(x).
template <class Build>
Graph reshaped(Build build, std::int64_t batch = -1) {
  OnnxBuilder model({batch, 2, 3, 4});
  model.node("Shape", {"x"}, "e");
  build(model);
  model.node("Relu", {"x"}, "r");
  model.node("Reshape", {"r", "s"}, "y");
  return import(model.output("y"));
}

TEST(Fold, ViewOfTheBatchSize) {
  const auto build = [](OnnxBuilder& model) {
    model.initializer("zero", {}, onnx::TensorProto::INT64).add_int64_data(0);
    model.integers("axes", {0});
    model.integers("rest", {-1});
    set(model.node("Gather", {"e", "zero"}, "n"), "axis", 0);
    model.node("Unsqueeze", {"n", "axes"}, "u");
    set(model.node("Concat", {"u", "rest"}, "s"), "axis", 0);
  };
  for (const int batch : {-1, 1, 5}) {
    const Graph graph = reshaped(build, batch);
    ASSERT_EQ(graph.nodes.size(), 3u) << batch;
    EXPECT_EQ(kind_of(graph.nodes[2]), "flatten");
  }
}

TEST(Fold, ShapeArithmeticIsAffineInTheBatchSize) {
  const Graph graph = reshaped([](OnnxBuilder& model) {
    // [N, C, H, W] -> [(N * 2) / 2, C * H * W]
    for (const int i : {0, 1, 2, 3}) {
      model.integers(fmt::format("i{}", i), {i});
      model.node("Gather", {"e", fmt::format("i{}", i)}, fmt::format("d{}", i));
    }
    model.integers("two", {2});
    model.node("Mul", {"d0", "two"}, "n2");
    model.node("Div", {"n2", "two"}, "n");
    model.node("Mul", {"d1", "d2"}, "ch");
    model.node("Mul", {"ch", "d3"}, "f");
    set(model.node("Concat", {"n", "f"}, "s"), "axis", 0);
  });
  EXPECT_EQ(graph.nodes.size(), 3u);
}

TEST(Fold, WhatOnlyTheBatchSizeDecidesIsRefused) {
  OnnxBuilder model({-1, 2, 3, 4});
  model.node("Shape", {"x"}, "e");
  model.integers("i0", {0});
  model.integers("four", {4});
  model.integers("t", {0, -1});
  model.integers("f", {-1, 24});
  model.node("Gather", {"e", "i0"}, "n");
  model.node("Equal", {"n", "four"}, "c");
  model.node("Where", {"c", "t", "f"}, "s");
  model.node("Relu", {"x"}, "r");
  model.node("Reshape", {"r", "s"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("'c' (Equal: a comparison depends on the number of samples"));
  OnnxBuilder decided({-1, 2, 3, 4});
  decided.node("Shape", {"x"}, "e");
  decided.integers("i0", {0});
  decided.integers("four", {-4});
  decided.integers("t", {0, 1});
  decided.integers("f", {-1, 24});
  decided.node("Gather", {"e", "i0"}, "n");
  decided.node("Equal", {"n", "four"}, "c");  // N is at least 1
  decided.node("Where", {"c", "t", "f"}, "s");
  decided.node("Relu", {"x"}, "r");
  decided.node("Reshape", {"r", "s"}, "y");
  EXPECT_EQ(import(decided.output("y")).nodes.size(), 3u);
}

TEST(Fold, RangesMasksAndScatters) {
  const std::vector<float> result = bias([](OnnxBuilder& model) {
    model.initializer("z", {}, onnx::TensorProto::INT64).add_int64_data(0);
    model.initializer("two", {}, onnx::TensorProto::INT64).add_int64_data(2);
    model.initializer("one", {}, onnx::TensorProto::INT64).add_int64_data(1);
    model.node("Range", {"z", "two", "one"}, "r");  // [0, 1]
    model.node("Equal", {"r", "one"}, "m");
    model.floats("yes", {1}, {7});
    model.integers("count", {2});
    model.node("ConstantOfShape", {"count"}, "no");  // [0, 0]
    model.node("Where", {"m", "yes", "no"}, "v");    // [0, 7]
    model.initializer("at", {1, 1}, onnx::TensorProto::INT64).add_int64_data(0);
    model.floats("five", {1}, {5});
    model.node("ScatterND", {"v", "at", "five"}, "b");
  });
  EXPECT_THAT(result, ElementsAre(5, 7));
}

TEST(Fold, OldSpellings) {
  const auto build = [](int opset) {
    return bias(
        [&](OnnxBuilder& model) {
          model.floats("a", {1, 2, 1}, {-3, 9});
          auto& clip = model.node("Clip", {"a"}, "c");
          set(set(clip, "min", -1.0f), "max", 6.0f);
          set(model.node("Squeeze", {"c"}, "q"), "axes", {0, 2});
          set(model.node("Unsqueeze", {"q"}, "u"), "axes", {0});
          set(model.node("ReduceSum", {"u"}, "s"), "axes", {0});
          set(*model.graph().mutable_node(3), "keepdims", 0);
          auto& slice = model.node("Slice", {"s"}, "b");
          set(set(slice, "starts", {0}), "ends", {2});
        },
        opset);
  };
  EXPECT_THAT(build(7), ElementsAre(-1, 6));
  EXPECT_THAT(build(9), ElementsAre(-1, 6));
}

TEST(Fold, IsBoundedByTheSizeOfTheFile) {
  OnnxBuilder model({-1, 2, 4, 4});
  model.floats("w", {2, 2, 1, 1}, {1, 0, 0, 1});
  model.integers("huge", {1 << 20, 1 << 20});
  model.node("ConstantOfShape", {"huge"}, "c");
  set(model.node("ReduceSum", {"c"}, "b"), "keepdims", 0);
  model.node("Conv", {"x", "w", "b"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("takes more elements than a model of this size"));
  OnnxBuilder tiled({-1, 2, 4, 4});
  tiled.floats("w", {2, 2, 1, 1}, {1, 0, 0, 1});
  tiled.floats("a", {1, 1}, {1});
  tiled.integers("times", {1024, 1024});
  tiled.node("Tile", {"a", "times"}, "t0");
  for (int i = 0; i < 40; ++i) tiled.node("Neg", {fmt::format("t{}", i)}, fmt::format("t{}", i + 1));
  set(tiled.node("ReduceSum", {"t40"}, "b"), "keepdims", 0);
  tiled.node("Conv", {"x", "w", "b"}, "y");
  EXPECT_THAT(refusal(tiled.output("y")), HasSubstr("takes more elements than a model of this size"));
}

TEST(Fold, OverflowsAreRefused) {
  OnnxBuilder model({-1, 2, 3, 4});
  model.integers("big", {std::int64_t{1} << 62});
  model.node("Mul", {"big", "big"}, "s");
  model.node("Reshape", {"x", "s"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("leaves the range of 64 bits"));
  OnnxBuilder divided({-1, 2, 3, 4});
  divided.integers("a", {1});
  divided.integers("zero", {0});
  divided.node("Div", {"a", "zero"}, "s");
  divided.node("Reshape", {"x", "s"}, "y");
  EXPECT_THAT(refusal(divided.output("y")), HasSubstr("divides by 0"));
}

}  // namespace
}  // namespace qnudge::test
