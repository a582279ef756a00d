// SPDX-License-Identifier: MIT
#include <limits>

#include "import_support.hpp"
#include "naive_graph.hpp"

namespace qnudge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Node only_node(OnnxBuilder model, const ImportOptions& options = {}) {
  const Graph graph = import(model.output("y"), options);
  EXPECT_EQ(graph.nodes.size(), 2u);
  return graph.nodes.back();
}

TEST(Pool, WindowsAndShapes) {
  OnnxBuilder model({-1, 3, 8, 9});
  set(set(set(model.node("MaxPool", {"x"}, "y"), "kernel_shape", {3, 2}), "strides", {2, 3}), "pads", {1, 0, 1, 1});
  const Node pool = only_node(model);
  EXPECT_EQ(kind_of(pool), "max_pool");
  EXPECT_EQ(window_of(pool).window, (Window{3, 2, 2, 3, 1, 1, 1, 0, 1, 1}));
  EXPECT_EQ(pool.shape, (Shape{4, 3, 3}));
}

TEST(Pool, CeilModeBecomesPaddingBehindTheImage) {
  const auto pool = [](const char* type, int in, int window, int stride, int pad) {
    OnnxBuilder model({-1, 1, in});
    auto& node = model.node(type, {"x"}, "y");
    set(set(set(set(node, "kernel_shape", {window}), "strides", {stride}), "pads", {pad, pad}), "ceil_mode", 1);
    return only_node(model);
  };
  EXPECT_EQ(pool("MaxPool", 6, 3, 2, 0).shape.h, 3);  // floor 2; the third window starts at 4
  EXPECT_EQ(window_of(pool("MaxPool", 6, 3, 2, 0)).window.pad_bottom, 1);
  EXPECT_EQ(window_of(pool("AveragePool", 6, 3, 2, 0)).window.pad_bottom, 1);
  EXPECT_EQ(window_of(pool("MaxPool", 7, 3, 2, 0)).window.pad_bottom, 0);  // already exact
  EXPECT_EQ(pool("MaxPool", 5, 1, 3, 0).shape.h, 2);  // a third window would start behind the image
  EXPECT_EQ(pool("MaxPool", 8, 2, 2, 1).shape.h, 5);
}

TEST(Pool, AverageCountsPaddingOnRequest) {
  OnnxBuilder model({-1, 1, 4, 4}, 19);
  auto& node = model.node("AveragePool", {"x"}, "y");
  set(set(set(node, "kernel_shape", {3, 3}), "pads", {1, 1, 1, 1}), "count_include_pad", 1);
  EXPECT_TRUE(window_of(only_node(model)).count_include_pad);
  set(set(node, "ceil_mode", 1), "strides", {2, 2});
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("ceil_mode with count_include_pad = 1"));
}

TEST(Pool, RefusesWindowsInThePadding) {
  const auto pool = [](int window, int pad, int dilation) {
    OnnxBuilder model({-1, 1, 2});
    auto& node = model.node("MaxPool", {"x"}, "y");
    set(set(set(node, "kernel_shape", {window}), "pads", {pad, pad}), "dilations", {dilation});
    return refusal(model.output("y"));
  };
  EXPECT_THAT(pool(2, 2, 1), HasSubstr("padding of 2 and 2 reaches the window of 2"));
  EXPECT_THAT(pool(2, 1, 3), HasSubstr("wholly in the padding"));
  EXPECT_THAT(pool(5, 0, 1), HasSubstr("does not fit"));
}

TEST(Pool, MeansOverAllPositions) {
  OnnxBuilder global({-1, 3, 4, 5});
  global.node("GlobalAveragePool", {"x"}, "y");
  const Node expected = only_node(global);
  EXPECT_EQ(kind_of(expected), "average_pool");
  EXPECT_EQ(window_of(expected).window, (Window{.r = 4, .s = 5}));
  EXPECT_EQ(expected.shape, (Shape{1, 1, 3}));

  OnnxBuilder attribute({-1, 3, 4, 5});
  set(attribute.node("ReduceMean", {"x"}, "y"), "axes", {-1, 2});
  EXPECT_EQ(window_of(only_node(attribute)).window, window_of(expected).window);

  OnnxBuilder input({-1, 3, 4, 5}, 18);
  input.integers("a", {2, 3});
  set(input.node("ReduceMean", {"x", "a"}, "y"), "keepdims", 0);
  const Graph flat = import(input.output("y"));
  ASSERT_EQ(flat.nodes.size(), 3u);
  EXPECT_EQ(window_of(flat.nodes[1]).window, window_of(expected).window);
  EXPECT_EQ(kind_of(flat.nodes[2]), "flatten");

  OnnxBuilder all({-1, 3, 4, 5});
  all.node("ReduceMean", {"x"}, "y");
  EXPECT_THAT(refusal(all.output("y")), HasSubstr("it reduces the samples of [N, 3, 4, 5]"));
}

TEST(Clip, BecomesReluWithoutAnUpperBound) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  const auto clip = [](std::vector<float> low, std::vector<float> high) {
    OnnxBuilder model({-1, 1, 2, 2});
    if (!low.empty()) model.floats("lo", {}, low);
    if (!high.empty()) model.floats("hi", {}, high);
    model.node("Clip", {"x", low.empty() ? "" : "lo", high.empty() ? "" : "hi"}, "y");
    return model;
  };
  EXPECT_EQ(kind_of(only_node(clip({0}, {}))), "relu");
  EXPECT_EQ(kind_of(only_node(clip({0}, {kInf}))), "relu");
  EXPECT_EQ(kind_of(only_node(clip({-0.0f}, {std::numeric_limits<float>::max()}))), "relu");
  const Node six = only_node(clip({0}, {6}));
  EXPECT_EQ(kind_of(six), "clip");
  EXPECT_EQ(bounds_of(six)->low, 0);
  EXPECT_EQ(bounds_of(six)->high, 6);
  EXPECT_EQ(bounds_of(only_node(clip({}, {1})))->low, double{std::numeric_limits<float>::lowest()});
  EXPECT_THAT(refusal(clip({2}, {1}).output("y")), HasSubstr("lower bound 2 is above its upper bound 1"));
  EXPECT_THAT(refusal(clip({std::numeric_limits<float>::quiet_NaN()}, {}).output("y")), HasSubstr("holds nan"));
}

TEST(Add, TwoActivationsOfEqualShape) {
  OnnxBuilder model({-1, 2, 4, 4});
  set(model.node("MaxPool", {"x"}, "r"), "kernel_shape", {1, 1});
  model.node("Add", {"r", "x"}, "y");
  const Graph graph = import(model.output("y"));
  EXPECT_EQ(kind_of(graph.nodes[2]), "add");
  EXPECT_THAT(graph.nodes[2].inputs, ElementsAre(1, 0));
  EXPECT_THAT(consumers(graph), ElementsAre(ElementsAre(1, 2), ElementsAre(2), ElementsAre()));
}

TEST(Concat, AlongAnyAxis) {
  const auto concat = [](int axis) {
    OnnxBuilder model({-1, 2, 4, 4});
    model.node("Relu", {"x"}, "r");
    set(model.node("Concat", {"r", "x", "r"}, "y"), "axis", axis);
    return model.output("y");
  };
  for (const int axis : {1, -3}) {
    const Graph graph = import(concat(axis));
    EXPECT_EQ(graph.output_shape(), (Shape{4, 4, 6}));
    EXPECT_THAT(graph.nodes[2].inputs, ElementsAre(1, 0, 1));
  }
  EXPECT_EQ(import(concat(2)).output_shape(), (Shape{12, 4, 2}));
  EXPECT_EQ(import(concat(-1)).output_shape(), (Shape{4, 12, 2}));
  EXPECT_THAT(refusal(concat(0)), HasSubstr("it joins samples of [N, 2, 4, 4]"));
  EXPECT_THAT(refusal(concat(7)), HasSubstr("axis is 7, but the rank is 4"));
}

TEST(Concat, FlattenedTensorsOfEqualExtents) {
  OnnxBuilder model({-1, 2, 3, 1});
  model.node("Flatten", {"x"}, "a");
  model.node("Relu", {"a"}, "b");
  set(model.node("Concat", {"a", "b"}, "c"), "axis", -1);
  model.floats("w", {12, 1}, counting(12));
  model.node("Gemm", {"c", "w"}, "y");
  const Graph graph = import(model.output("y"));
  // ONNX sees a0..a5 b0..b5 with feature c * 3 + h; x here is NHWC: [h][c].
  const Tensor y = NaiveGraph(graph).run({1, 0, 0, 0, 0, 100});
  EXPECT_THAT(y, ElementsAre(1.0 * (1 + 7) + 100.0 * (6 + 12)));
}

TEST(Flatten, EverySpelling) {
  const auto reshape = [](std::int64_t batch, const std::vector<std::int64_t>& target) {
    OnnxBuilder model({batch, 2, 3, 4});
    model.integers("s", target);
    model.node("Reshape", {"x", "s"}, "y");
    return model.output("y");
  };
  for (const auto& target : std::vector<std::vector<std::int64_t>>{{0, -1}, {0, 24}, {-1, 24}}) {
    const Graph graph = import(reshape(-1, target));
    EXPECT_EQ(kind_of(graph.nodes[1]), "flatten");
    EXPECT_EQ(graph.nodes[1].shape, (Shape{3, 4, 2}));
  }
  EXPECT_EQ(kind_of(import(reshape(5, {5, -1})).nodes[1]), "flatten");
  for (const auto& target : std::vector<std::vector<std::int64_t>>{{1, 24}, {}}) {
    EXPECT_THAT(refusal(reshape(-1, target)), HasSubstr("it reshapes [N, 2, 3, 4] to"));
  }
  EXPECT_THAT(refusal(reshape(-1, {-1, 12})), HasSubstr("the output 'y': it reads [2N, 12]"));
  EXPECT_THAT(refusal(reshape(-1, {-1})), HasSubstr("the output 'y': rank 1; 2 to 4 are supported"));
  EXPECT_THAT(refusal(reshape(-1, {-1, -1})), HasSubstr("two of its target extents are -1"));
  EXPECT_THAT(refusal(reshape(5, {4, -1})), HasSubstr("it would mix samples of [5, 2, 3, 4]"));
  for (const int axis : {1, -3}) {
    OnnxBuilder model({-1, 2, 3, 4});
    set(model.node("Flatten", {"x"}, "y"), "axis", axis);
    EXPECT_EQ(kind_of(only_node(model)), "flatten");
  }
  OnnxBuilder zero({-1, 2, 3, 4});
  set(zero.node("Flatten", {"x"}, "y"), "axis", 0);
  EXPECT_THAT(refusal(zero.output("y")), HasSubstr("output 'y'"));
}

TEST(Views, VanishOrAreFlattenedOnce) {
  OnnxBuilder model({-1, 2, 3, 4}, 13);
  model.floats("ratio", {}, {0.5f});
  model.node("Dropout", {"x", "ratio"}, "d");
  model.node("Identity", {"d"}, "i");
  model.node("Flatten", {"i"}, "f");
  model.node("Flatten", {"f"}, "g");
  model.node("Sigmoid", {"g"}, "y");
  const Graph graph = import(model.output("y"));
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(kind_of(graph.nodes[1]), "sigmoid");
  EXPECT_EQ(kind_of(graph.nodes[2]), "flatten");
}

TEST(Dropout, RefusedInTraining) {
  OnnxBuilder model({-1, 2, 3, 4});
  model.floats("ratio", {}, {0.5f});
  model.initializer("t", {}, onnx::TensorProto::BOOL).add_int32_data(1);
  model.node("Dropout", {"x", "ratio", "t"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("in training mode"));
}

TEST(Input, SymbolicExtentsNeedOptions) {
  OnnxBuilder model({-1, 3, -1, -1});
  model.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(model.output("y")), HasSubstr("set input_height and input_width"));
  EXPECT_EQ(import(model, {.height = 6, .width = 7}).input_shape(), (Shape{6, 7, 3}));
  EXPECT_THAT(refusal(model, {.height_key = "--height", .width_key = "--width"}),
              HasSubstr("set --height and --width"));
  OnnxBuilder series({-1, 3, -1});
  series.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(series.output("y")), HasSubstr("set input_height (its length)"));
  EXPECT_EQ(import(series, {.height = 6, .width = 0}).input_shape(), (Shape{6, 1, 3}));
}

TEST(Names, AreUniqueAndNeverEmpty) {
  OnnxBuilder model({-1, 1, 2, 2});
  model.node("Relu", {"x"}, "a", "x");
  set(model.node("MaxPool", {"a"}, "b", "same"), "kernel_shape", {1, 1});
  model.node("Relu", {"b"}, "c", "same");
  set(model.node("MaxPool", {"c"}, "d", "same_2"), "kernel_shape", {1, 1});
  model.node("Sigmoid", {"d"}, "y").clear_name();
  const Graph graph = import(model.output("y"));
  std::vector<std::string> names;
  for (const Node& node : graph.nodes) names.push_back(node.name);
  EXPECT_THAT(names, ElementsAre("x", "x_2", "same", "same_2", "same_2_2", "Sigmoid_4"));
}

TEST(Names, AreValidText) {
  OnnxBuilder model({-1, 1, 2, 2});
  model.node("Relu", {"x"}, "a", "gr\xC3\xBC\xC3\x9F");
  set(model.node("MaxPool", {"a"}, "y", "bad\xFF\x01\xC3"), "kernel_shape", {1, 1});
  const Graph graph = import(model.output("y"));
  EXPECT_EQ(graph.nodes[1].name, "gr\xC3\xBC\xC3\x9F");
  EXPECT_EQ(graph.nodes[2].name, "bad???");
}

TEST(Graph, DeadNodesAreDropped) {
  OnnxBuilder model({-1, 1, 2, 2});
  model.node("Softmax", {"x"}, "unused");
  model.node("Relu", {"x"}, "y");
  model.node("Relu", {"y"}, "behind");
  EXPECT_EQ(import(model.output("y")).nodes.size(), 2u);
}

TEST(Graph, InitializersMayAlsoBeInputs) {
  OnnxBuilder model({-1, 1, 2, 2});
  model.floats("w", {1, 1, 1, 1}, {2});
  model.input("w", {1, 1, 1, 1});
  model.node("Conv", {"x", "w"}, "y");
  EXPECT_EQ(import(model.output("y")).nodes.size(), 2u);
}

TEST(Graph, FingerprintSeesEveryConstantAndNoName) {
  const auto print = [](float weight, int stride, const char* name) {
    OnnxBuilder model({-1, 1, 5, 5});
    model.floats("w", {1, 1, 1, 1}, {weight});
    set(model.node("Conv", {"x", "w"}, "y", name), "strides", {stride, stride});
    return import(model.output("y")).fingerprint;
  };
  const std::string base = print(2, 1, "a");
  EXPECT_EQ(base.size(), 32u);
  EXPECT_EQ(print(2, 1, "b"), base);
  EXPECT_NE(print(2.0000002f, 1, "a"), base);
  EXPECT_NE(print(2, 2, "a"), base);
}

TEST(WindowExtent, ByHand) {
  EXPECT_EQ(window_extent(32, 3, 1, 1, 1, 1, 1), 32);
  EXPECT_EQ(window_extent(32, 3, 2, 1, 1, 1, 1), 16);
  EXPECT_EQ(window_extent(7, 3, 1, 3, 0, 0, 1), 1);
  EXPECT_EQ(window_extent(6, 3, 1, 3, 0, 0, 1), 0);
  EXPECT_EQ(window_extent(5, 3, 1, 1, 1, 2, 2), 10);  // spread to 9
  EXPECT_EQ(window_extent(5, 2, 1, 1, -2, 0, 2), 6);
}

TEST(KindsOfNodes, AreDistinct) {
  EXPECT_EQ(kind_of(Node{}), "input");
  EXPECT_EQ(kind_of(Node{FloatLayer{}}), "conv");
  EXPECT_EQ(kind_of(Node{FloatLayer{.gemm = true}}), "gemm");
  EXPECT_EQ(kind_of(Node{clip_table(-1, 1)}), "clip");
  EXPECT_EQ(kind_of(Node{FloatMove{}}), "flatten");
}

TEST(ShapeOf, RefusesInputsThatDoNotGoTogether) {
  const Shape parts[] = {{2, 3, 4}, {2, 3, 5}};
  EXPECT_EQ(shape_of({.what = FloatMove{joined_channels(parts)}, .inputs = {0, 1}, .shape = {2, 3, 9}}, parts),
            (Shape{2, 3, 9}));
  EXPECT_THROW(shape_of({.what = FloatMove{joined_channels(parts)}, .inputs = {0, 1}, .shape = {2, 3, 8}}, parts),
               Error);
  EXPECT_THROW(shape_of({.what = FloatCombine{}, .inputs = {0, 1}}, parts), Error);
}

}  // namespace
}  // namespace qnudge::test
