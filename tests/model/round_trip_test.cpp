// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdlib>

#include "import_support.hpp"

namespace qnudge::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  const auto bits = [](float v) { return std::bit_cast<std::uint32_t>(v); };
  return std::ranges::equal(a, b, {}, bits, bits);
}

template <class T>
using Plain = std::remove_cvref_t<T>;

bool same(const FloatInput&, const FloatInput&) {
  return true;
}
bool same(const FloatLayer& a, const FloatLayer& b) {
  return a.conv == b.conv && a.filter == b.filter && a.gemm == b.gemm && same_bits(a.weights, b.weights) &&
         same_bits(a.bias, b.bias);
}
bool same(const FloatBatchNorm& a, const FloatBatchNorm& b) {
  return same_bits(a.scale, b.scale) && same_bits(a.shift, b.shift);
}
bool same(const FloatTable& a, const FloatTable& b) {
  return a.function == b.function && a.parameters == b.parameters;
}
bool same(const FloatCombine& a, const FloatCombine& b) {
  return a.kind == b.kind && a.constant == b.constant && a.constant_shape == b.constant_shape &&
         a.constant_first == b.constant_first;
}
bool same(const FloatWindow& a, const FloatWindow& b) {
  return a.kind == b.kind && a.window == b.window && a.count_include_pad == b.count_include_pad;
}
bool same(const FloatMove& a, const FloatMove& b) {
  return a.map == b.map;
}

bool same(const FloatMix& a, const FloatMix& b) {
  return a == b;
}
bool same(const FloatProduct& a, const FloatProduct& b) {
  return a == b;
}
bool same(const FloatNormalise& a, const FloatNormalise& b) {
  return a == b;
}

void expect_equal(const Graph& a, const Graph& b) {
  ASSERT_EQ(a.nodes.size(), b.nodes.size());
  for (std::size_t i = 0; i < a.nodes.size(); ++i) {
    const Node &m = a.nodes[i], &n = b.nodes[i];
    EXPECT_EQ(m.name, n.name);
    EXPECT_EQ(m.inputs, n.inputs) << m.name;
    EXPECT_EQ(m.shape, n.shape) << m.name;
    ASSERT_EQ(m.what.index(), n.what.index()) << m.name;
    std::visit(
        [&](const auto& payload) { EXPECT_TRUE(same(payload, std::get<Plain<decltype(payload)>>(n.what))) << m.name; },
        m.what);
  }
  EXPECT_EQ(a.output, b.output);
  EXPECT_EQ(a.input_name, b.input_name);
  EXPECT_EQ(a.output_name, b.output_name);
  EXPECT_EQ(a.spatial_rank, b.spatial_rank);
  EXPECT_EQ(a.fingerprint, b.fingerprint);  // of every constant, bit by bit
}

void expect_round_trip(const Graph& graph) {
  const ScratchFile file;
  export_float_onnx(graph, file.path());
  expect_equal(graph, import_onnx(file.path()));
}

TEST(RoundTrip, EveryOperatorInTwoDimensions) {
  OnnxBuilder model({-1, 4, 9, 8}, 19);
  model.floats("w1", {6, 2, 3, 2}, varied(72));
  auto& conv = model.node("Conv", {"x", "w1"}, "c");
  set(set(set(conv, "group", 2), "pads", {1, 0, 2, 1}), "dilations", {1, 2});
  for (const char* name : {"g", "b", "m", "v"}) model.floats(name, {6}, {0.3f, 1, 2.7f, 3, 1e-7f, 5});
  model.node("BatchNormalization", {"c", "g", "b", "m", "v"}, "n");
  model.floats("lo", {}, {-1});
  model.floats("hi", {}, {6});
  model.node("Clip", {"n", "lo", "hi"}, "k");
  model.node("Relu", {"n"}, "r");
  model.node("Add", {"k", "r"}, "a");
  set(model.node("Concat", {"a", "k"}, "cat"), "axis", 1);
  auto& max = set(model.node("MaxPool", {"cat"}, "mp"), "kernel_shape", {3, 2});
  set(set(set(max, "strides", {2, 2}), "pads", {1, 0, 0, 1}), "ceil_mode", 1);
  auto& average = set(model.node("AveragePool", {"mp"}, "ap"), "kernel_shape", {2, 2});
  set(set(average, "pads", {1, 1, 0, 0}), "count_include_pad", 1);
  model.floats("w2", {12, 1, 3, 2}, varied(72));
  auto& transposed = set(model.node("ConvTranspose", {"ap", "w2"}, "t"), "group", 4);
  set(set(set(transposed, "strides", {2, 3}), "pads", {3, 0, 1, 0}), "output_padding", {1, 2});
  model.node("Sigmoid", {"t"}, "s");
  model.integers("axes", {2, 3});
  set(model.node("ReduceMean", {"s", "axes"}, "rm"), "keepdims", 0);
  model.floats("w3", {3, 4}, varied(12));
  set(model.node("Gemm", {"rm", "w3"}, "y"), "transB", 1);
  const Graph graph = import(model.output("y"));
  EXPECT_THAT(graph.nodes, SizeIs(13));  // k and r meet in one table
  expect_round_trip(graph);
}

TEST(RoundTrip, OneDimensionAndFlattenedFeatures) {
  OnnxBuilder model({-1, 3, 11});
  model.floats("w1", {4, 3, 2}, varied(24));
  set(model.node("Conv", {"x", "w1"}, "c"), "pads", {1, 1});
  model.floats("w2", {4, 3, 2}, varied(24));
  set(model.node("ConvTranspose", {"c", "w2"}, "t"), "pads", {1, 1});
  model.node("Flatten", {"t"}, "f");
  model.node("Relu", {"f"}, "r");
  model.floats("w3", {33, 2}, varied(66));
  model.floats("b3", {2}, {0.1f, -0.2f});
  model.node("MatMul", {"r", "w3"}, "mm");
  model.node("Add", {"mm", "b3"}, "y");
  expect_round_trip(import(model.output("y")));
}

TEST(RoundTrip, NamesThatCollideWithTensors) {
  OnnxBuilder model({-1, 1, 4, 4});
  model.floats("w", {1, 1, 1, 1}, {2});
  model.node("Conv", {"x", "w"}, "a", "y");
  model.node("Relu", {"a"}, "b", "y.weight");
  set(model.node("ReduceMean", {"b"}, "c", "mean"), "axes", {2, 3});
  set(*model.graph().mutable_node(2), "keepdims", 0);
  model.node("Relu", {"c"}, "y", "mean_flatten");
  const Graph graph = import(model.output("y"));
  EXPECT_EQ(graph.nodes[5].name, "mean_flatten_2");
  expect_round_trip(graph);
}

TEST(RoundTrip, ExportToAMissingFolderIsAUsageError) {
  OnnxBuilder model({-1, 1, 4, 4});
  model.node("Relu", {"x"}, "y");
  const Graph graph = import(model.output("y"));
  try {
    export_float_onnx(graph, "/nonexistent/folder/model.onnx");
    FAIL() << "was written";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
  }
}

TEST(Unsupported, EveryNodeIsNamedWithWhatItFeeds) {
  OnnxBuilder model({-1, 2, 4, 4});
  model.node("Multinomial", {"x"}, "s", "soft");
  model.node("Relu", {"s"}, "r1", "left");
  model.node("Sigmoid", {"s"}, "r2", "right");
  model.node("Add", {"r1", "r2"}, "a", "sum");
  model.node("Quirk", {"a"}, "q", "custom").set_domain("com.example");
  onnx::NodeProto& branch = model.node("If", {"x"}, "i", "branch");
  attribute(branch, "then_branch", onnx::AttributeProto::GRAPH).mutable_g()->set_name("body");
  model.node("Einsum", {"q", "i"}, "y", "product");
  model.node("Softmax", {"x"}, "dead");
  model.output("y");

  const ScratchFile file;
  const std::vector<Unsupported> found = examine_onnx(file.write(model.bytes())).unsupported;
  ASSERT_THAT(found, SizeIs(4));
  EXPECT_EQ(found[0].node, "soft");
  EXPECT_EQ(found[0].op_type, "Multinomial");
  EXPECT_THAT(found[0].feeds, ElementsAre("left", "right"));
  EXPECT_THAT(found[1].reason, HasSubstr("domain 'com.example'"));
  EXPECT_THAT(found[2].feeds, ElementsAre("product"));
  EXPECT_THAT(found[3].feeds, SizeIs(0));

  const std::string message = refusal(model);
  EXPECT_THAT(message, HasSubstr("'soft' (Multinomial: the operator is not supported), which feeds 'left', 'right'; "));
  EXPECT_THAT(message, HasSubstr("'product' (Einsum: the operator is not supported), which feeds the output"));
  EXPECT_THAT(message, HasSubstr("'branch' (If: the operator is not supported), which feeds 'product' (export with"));
}

TEST(Unsupported, IsEmptyForWhatCanBeImported) {
  OnnxBuilder model({-1, 2, -1, -1});
  model.floats("w", {1, 2, 3, 3}, varied(18));
  model.node("Conv", {"x", "w"}, "y");
  const ScratchFile file;
  try {
    examine_onnx(file.write(model.output("y").bytes()));
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("set input_height and input_width"));
  }
  const Examination found = examine_onnx(file.path(), {.height = 5, .width = 6});
  EXPECT_THAT(found.unsupported, SizeIs(0));
  EXPECT_EQ(found.graph.output_shape(), (Shape{3, 4, 1}));
  EXPECT_THAT(layer_of(found.graph.nodes[1]).weights, SizeIs(0));
}

struct RealModel {
  const char* file;
  int convolutions, additions;
  Shape input;
  std::int64_t outputs, weights;
};

class RealModels : public ::testing::TestWithParam<RealModel> {};

TEST_P(RealModels, ImportAndRoundTrip) {
  const char* folder = std::getenv("QNUDGE_DATA");
  if (folder == nullptr) GTEST_SKIP() << "QNUDGE_DATA is not set: no trained models to import";
  const RealModel& expected = GetParam();
  const Graph graph = import_onnx(std::filesystem::path(folder) / "models" / expected.file);
  const auto count = [&](std::string_view kind) {
    return std::ranges::count(graph.nodes, kind, [](const Node& node) { return kind_of(node); });
  };
  EXPECT_EQ(count("conv"), expected.convolutions);
  EXPECT_EQ(count("batch_norm"), expected.convolutions);
  EXPECT_EQ(count("gemm"), 1);
  EXPECT_EQ(count("add"), expected.additions);
  EXPECT_EQ(count("relu"), 2 * expected.additions + 1);
  EXPECT_EQ(count("average_pool"), 1);
  EXPECT_EQ(graph.input_shape(), expected.input);
  EXPECT_EQ(graph.output_shape(), (Shape{1, 1, expected.outputs}));
  std::int64_t weights = 0;
  for (const Node& node : graph.nodes) {
    if (node.layer() == nullptr) continue;
    EXPECT_EQ(static_cast<std::int64_t>(node.layer()->weights.size()), node.layer()->filter.size());
    weights += node.layer()->filter.size();
  }
  EXPECT_EQ(weights, expected.weights);
  expect_round_trip(graph);
}

INSTANTIATE_TEST_SUITE_P(Data, RealModels,
                         ::testing::Values(RealModel{"cifar100_resnet20.onnx", 21, 9, {32, 32, 3}, 100, 276656},
                                           RealModel{"cifar100_resnet56.onnx", 57, 27, {32, 32, 3}, 100, 857264},
                                           RealModel{
                                               "imagenet_resnet18_pqf.onnx", 20, 8, {224, 224, 3}, 1000, 11678912}),
                         [](const auto& param) {
                           const std::string file = param.param.file;
                           return file.substr(0, file.find('.'));
                         });

}  // namespace
}  // namespace qnudge::test
