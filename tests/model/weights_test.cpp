// SPDX-License-Identifier: MIT
#include <bit>
#include <cmath>
#include <limits>

#include "import_support.hpp"
#include "naive_graph.hpp"

namespace qnudge::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

OnnxBuilder conv_model(std::vector<std::int64_t> in, std::vector<std::int64_t> filter) {
  OnnxBuilder model(in);
  std::size_t size = 1;
  for (const auto extent : filter) size *= static_cast<std::size_t>(extent);
  model.floats("w", filter, counting(size));
  model.node("Conv", {"x", "w"}, "y");
  model.output("y");
  return model;
}

TEST(Conv, WeightsBecomeKrsc) {
  const Graph graph = import(conv_model({-1, 2, 4, 5}, {2, 2, 1, 2}));
  ASSERT_EQ(graph.nodes.size(), 2u);
  const Node& conv = graph.nodes[1];
  EXPECT_EQ(kind_of(conv), "conv");
  EXPECT_EQ(conv.shape, (Shape{4, 4, 2}));
  EXPECT_EQ(layer_of(conv).filter, (FilterShape{2, 1, 2, 2}));
  // ONNX: k0 c0 {1,2}, c1 {3,4}; k1 c0 {5,6}, c1 {7,8}. KRSC puts the channels last.
  EXPECT_THAT(layer_of(conv).weights, ElementsAre(1, 3, 2, 4, 5, 7, 6, 8));
  EXPECT_THAT(layer_of(conv).bias, ElementsAre(0, 0));
  EXPECT_EQ(graph.input_shape(), (Shape{4, 5, 2}));
  EXPECT_EQ(graph.output, 1);
}

TEST(Conv, GeometryOfEveryAttribute) {
  OnnxBuilder model = conv_model({-1, 4, 10, 11}, {6, 2, 3, 2});
  auto& node = *model.graph().mutable_node(0);
  set(node, "strides", {2, 3});
  set(node, "dilations", {1, 2});
  set(node, "pads", {0, 1, 2, 3});
  set(node, "group", 2);
  set(node, "kernel_shape", {3, 2});
  const Node conv = import(model).nodes[1];
  const Window expected{3, 2, 2, 3, 1, 2, 0, 1, 2, 3};
  EXPECT_EQ(layer_of(conv).conv.window, expected);
  EXPECT_EQ(layer_of(conv).conv.groups, 2);
  EXPECT_FALSE(layer_of(conv).conv.transposed);
  EXPECT_EQ(conv.shape, (Shape{(10 + 2 - 3) / 2 + 1, (11 + 4 - 3) / 3 + 1, 6}));
}

TEST(Conv, OneDimensionLiesAlongHeight) {
  OnnxBuilder model = conv_model({-1, 2, 7}, {3, 2, 4});
  set(*model.graph().mutable_node(0), "pads", {1, 2});
  const Graph graph = import(model);
  EXPECT_EQ(graph.spatial_rank, 1);
  EXPECT_EQ(graph.input_shape(), (Shape{7, 1, 2}));
  EXPECT_EQ(graph.output_shape(), (Shape{7, 1, 3}));
  EXPECT_EQ(layer_of(graph.nodes[1]).filter, (FilterShape{3, 4, 1, 2}));
  EXPECT_EQ(layer_of(graph.nodes[1]).conv.window.pad_bottom, 2);
  EXPECT_EQ(layer_of(graph.nodes[1]).conv.window.pad_right, 0);
}

TEST(Conv, AutoPad) {
  const auto window = [](const char* mode) {
    OnnxBuilder model = conv_model({-1, 1, 7, 6}, {1, 1, 4, 3});
    set(set(*model.graph().mutable_node(0), "auto_pad", mode), "strides", {2, 2});
    return import(model).nodes[1];
  };
  // Height: 4 outputs need (4 - 1) * 2 + 4 - 7 = 3 more; width: 3 outputs need (3 - 1) * 2 + 3 - 6 = 1 more.
  EXPECT_EQ(layer_of(window("SAME_UPPER")).conv.window, (Window{4, 3, 2, 2, 1, 1, 1, 0, 2, 1}));
  EXPECT_EQ(layer_of(window("SAME_LOWER")).conv.window, (Window{4, 3, 2, 2, 1, 1, 2, 1, 1, 0}));
  EXPECT_EQ(layer_of(window("VALID")).conv.window, (Window{4, 3, 2, 2}));
  EXPECT_EQ(window("SAME_UPPER").shape, (Shape{4, 3, 1}));
  EXPECT_EQ(window("VALID").shape, (Shape{2, 2, 1}));
}

/// Output of ONNX's ConvTranspose in NHWC, by its definition: every input element is scattered through the filter.
Tensor scatter(const Shape& in, const Shape& out, std::int64_t groups, std::int64_t r, std::int64_t s,
               std::int64_t stride, std::int64_t dilation, std::int64_t pad, const std::vector<float>& w,
               const Tensor& x) {
  Tensor y(static_cast<std::size_t>(out.size()));
  const std::int64_t group_c = in.c / groups, group_k = out.c / groups;
  for (std::int64_t i = 0; i < in.size(); ++i) {
    const std::int64_t c = i % in.c, ix = i / in.c % in.w, iy = i / in.c / in.w;
    for (std::int64_t j = 0; j < group_k * r * s; ++j) {
      const std::int64_t kk = j / (r * s), fr = j / s % r, fs = j % s;
      const std::int64_t oy = iy * stride + fr * dilation - pad, ox = ix * stride + fs * dilation - pad;
      if (oy < 0 || ox < 0 || oy >= out.h || ox >= out.w) continue;
      y[static_cast<std::size_t>((oy * out.w + ox) * out.c + c / group_c * group_k + kk)] +=
          x[static_cast<std::size_t>(i)] * w[static_cast<std::size_t>((c * group_k + kk) * r * s + fr * s + fs)];
    }
  }
  return y;
}

TEST(ConvTranspose, EqualsScatter) {
  const struct {
    int groups, stride, dilation, pad, output_padding;
  } cases[] = {{1, 1, 1, 0, 0}, {1, 2, 1, 1, 1}, {2, 2, 1, 0, 0}, {2, 3, 2, 1, 2}, {1, 1, 2, 3, 0}, {4, 2, 1, 3, 1}};
  for (const auto& p : cases) {
    OnnxBuilder model({-1, 4, 5, 6});
    const std::vector<float> weights = varied(4 * 2 * 3 * 2);
    model.floats("w", {4, 2, 3, 2}, weights);
    auto& node = model.node("ConvTranspose", {"x", "w"}, "y");
    set(set(set(node, "group", p.groups), "strides", {p.stride, p.stride}), "dilations", {p.dilation, p.dilation});
    set(set(node, "pads", {p.pad, p.pad, p.pad, p.pad}), "output_padding", {p.output_padding, p.output_padding});
    model.output("y");
    const Graph graph = import(model);
    const Shape in{5, 6, 4};
    const auto extent = [&](std::int64_t n, std::int64_t k) {
      return (n - 1) * p.stride + (k - 1) * p.dilation + 1 - 2 * p.pad + p.output_padding;
    };
    const Shape out{extent(5, 3), extent(6, 2), 2 * p.groups};
    ASSERT_EQ(graph.output_shape(), out) << "stride " << p.stride << " pad " << p.pad;
    EXPECT_TRUE(layer_of(graph.nodes[1]).conv.transposed);
    const std::vector<float> x = varied(static_cast<std::size_t>(in.size()));
    EXPECT_EQ(NaiveGraph(graph).run({x.begin(), x.end()}),
              scatter(in, out, p.groups, 3, 2, p.stride, p.dilation, p.pad, weights, {x.begin(), x.end()}))
        << "groups " << p.groups << " stride " << p.stride << " dilation " << p.dilation << " pad " << p.pad;
  }
}

TEST(ConvTranspose, PaddingMayCropAndBeAsymmetric) {
  OnnxBuilder model({-1, 1, 6});
  model.floats("w", {1, 1, 2}, {1, 2});
  set(set(model.node("ConvTranspose", {"x", "w"}, "y"), "pads", {3, 1}), "strides", {2});
  model.output("y");
  const Node conv = import(model).nodes[1];
  EXPECT_EQ(layer_of(conv).conv.window.pad_top, 1 - 3);
  EXPECT_EQ(layer_of(conv).conv.window.pad_bottom, 1 - 1);
  EXPECT_EQ(layer_of(conv).conv.spread_h, 2);
  EXPECT_EQ(conv.shape, (Shape{(6 - 1) * 2 + 2 - 4, 1, 1}));
  EXPECT_THAT(layer_of(conv).weights, ElementsAre(2, 1));
}

OnnxBuilder gemm_model(bool trans_b) {
  OnnxBuilder model({-1, 2, 1, 3});
  // Feature f = c * 3 + w of output k weighs 10 k + f.
  std::vector<float> w(12);
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t f = 0; f < 6; ++f) w[trans_b ? k * 6 + f : f * 2 + k] = static_cast<float>(10 * k + f);
  }
  trans_b ? model.floats("w", {2, 6}, w) : model.floats("w", {6, 2}, w);
  model.node("Flatten", {"x"}, "f");
  return model;
}

TEST(Gemm, FilterCoversTheInputBeforeFlattening) {
  for (const bool trans_b : {false, true}) {
    OnnxBuilder model = gemm_model(trans_b);
    set(model.node("Gemm", {"f", "w"}, "y"), "transB", trans_b ? 1 : 0);
    const Graph graph = import(model.output("y"));
    ASSERT_EQ(graph.nodes.size(), 3u);
    EXPECT_EQ(kind_of(graph.nodes[1]), "flatten");
    EXPECT_EQ(graph.nodes[1].shape, (Shape{1, 3, 2}));
    const Node& gemm = graph.nodes[2];
    EXPECT_EQ(kind_of(gemm), "gemm");
    EXPECT_EQ(gemm.shape, (Shape{1, 1, 2}));
    EXPECT_EQ(layer_of(gemm).filter, (FilterShape{2, 1, 3, 2}));
    EXPECT_EQ(layer_of(gemm).conv.window, (Window{.r = 1, .s = 3}));
    EXPECT_THAT(layer_of(gemm).weights, ElementsAre(0, 3, 1, 4, 2, 5, 10, 13, 11, 14, 12, 15));
  }
}

TEST(Gemm, AlphaBetaAndEveryFormOfBias) {
  const auto bias = [](const std::vector<std::int64_t>& dims, const std::vector<float>& values) {
    OnnxBuilder model = gemm_model(true);
    model.floats("c", dims, values);
    set(set(set(model.node("Gemm", {"f", "w", "c"}, "y"), "transB", 1), "alpha", 0.5f), "beta", 2.0f);
    return layer_of(import(model.output("y")).nodes[2]);
  };
  EXPECT_THAT(bias({2}, {1, 2}).bias, ElementsAre(2, 4));
  EXPECT_THAT(bias({1, 2}, {1, 2}).bias, ElementsAre(2, 4));
  EXPECT_THAT(bias({}, {3}).bias, ElementsAre(6, 6));
  EXPECT_THAT(bias({1}, {3}).bias, ElementsAre(6, 6));
  EXPECT_EQ(bias({1}, {3}).weights[1], 1.5f);
}

TEST(MatMul, TheAdditionBehindItIsItsBias) {
  OnnxBuilder model = gemm_model(false);
  model.floats("c", {2}, {7, 8});
  model.node("MatMul", {"f", "w"}, "m");
  model.node("Identity", {"m"}, "i");
  model.node("Add", {"c", "i"}, "y");
  const Graph graph = import(model.output("y"));
  ASSERT_EQ(graph.nodes.size(), 3u);
  EXPECT_EQ(kind_of(graph.nodes[2]), "gemm");
  EXPECT_EQ(graph.nodes[2].name, "m");
  EXPECT_THAT(layer_of(graph.nodes[2]).bias, ElementsAre(7, 8));
}

TEST(Bias, AConstantAddedBehindAConvolution) {
  const auto bias = [](const std::vector<std::int64_t>& dims, const std::vector<float>& values) {
    OnnxBuilder model = conv_model({-1, 1, 4, 4}, {2, 1, 1, 1});
    model.floats("c", dims, values);
    model.graph().clear_output();
    model.node("Add", {"y", "c"}, "z");
    return model.output("z");
  };
  EXPECT_THAT(layer_of(import(bias({1, 2, 1, 1}, {5, 6})).nodes[1]).bias, ElementsAre(5, 6));
  EXPECT_THAT(layer_of(import(bias({2, 1, 1}, {5, 6})).nodes[1]).bias, ElementsAre(5, 6));
  EXPECT_THAT(layer_of(import(bias({}, {5})).nodes[1]).bias, ElementsAre(5, 5));
  EXPECT_EQ(kind_of(import(bias({4}, counting(4))).nodes.at(2)), "add");
  EXPECT_EQ(kind_of(import(bias({1, 2, 4, 4}, counting(32))).nodes.at(2)), "add");
  EXPECT_THAT(refusal(bias({1, 1, 2, 1, 1}, counting(2))), HasSubstr("has more axes than [N, 2, 4, 4]"));
}

TEST(Bias, IsNotMergedWhereSomethingElseReadsTheLayer) {
  OnnxBuilder model = conv_model({-1, 1, 4, 4}, {2, 1, 1, 1});
  model.floats("c", {}, {1});
  model.graph().clear_output();
  model.node("Identity", {"y"}, "i");
  model.node("Add", {"i", "c"}, "a");
  model.node("Add", {"a", "y"}, "z");
  const Graph graph = import(model.output("z"));
  EXPECT_THAT(layer_of(graph.nodes[1]).bias, ElementsAre(0, 0));
  EXPECT_EQ(graph.nodes.size(), 3u);  // (y + 1) + y
}

TEST(BatchNorm, ScaleAndShiftInDouble) {
  OnnxBuilder model({-1, 2, 3, 3});
  model.floats("g", {2}, {3, -0.1f});
  model.floats("b", {2}, {0.5f, 1});
  model.floats("m", {2}, {0.3f, 7});
  model.floats("v", {2}, {0.7f, 0});
  set(model.node("BatchNormalization", {"x", "g", "b", "m", "v"}, "y"), "epsilon", 1e-3f);
  const Node bn = import(model.output("y")).nodes[1];
  const double eps = 1e-3f;
  const double scale0 = 3 / std::sqrt(double{0.7f} + eps), scale1 = double{-0.1f} / std::sqrt(eps);
  EXPECT_THAT(batch_norm_of(bn).scale, ElementsAre(static_cast<float>(scale0), static_cast<float>(scale1)));
  EXPECT_THAT(batch_norm_of(bn).shift,
              ElementsAre(static_cast<float>(0.5 - double{0.3f} * scale0), static_cast<float>(1 - 7 * scale1)));
}

TEST(BatchNorm, RefusesWhatItCannotMean) {
  const auto model = [](float variance, const std::string& extra_output, int opset = 14, int training = 0) {
    OnnxBuilder m({-1, 1, 3, 3}, opset);
    for (const char* name : {"g", "b", "m"}) m.floats(name, {1}, {1});
    m.floats("v", {1}, {variance});
    auto& node = m.node("BatchNormalization", {"x", "g", "b", "m", "v"}, "y");
    if (opset >= 14) set(node, "training_mode", training);
    if (!extra_output.empty()) node.add_output(extra_output);
    return m;
  };
  EXPECT_EQ(import(model(1, "").output("y")).nodes.size(), 2u);
  EXPECT_EQ(import(model(1, "", 13).output("y")).nodes.size(), 2u);
  const auto training = AllOf(HasSubstr("'y' (BatchNormalization: it is in training mode"), HasSubstr("model.eval()"));
  EXPECT_THAT(refusal(model(1, "", 14, 1).output("y")), training);
  EXPECT_THAT(refusal(model(1, "mean", 14, 1).output("y")), training);
  EXPECT_THAT(refusal(model(1, "mean", 13).output("y")), training);
  EXPECT_THAT(refusal(model(-1, "").output("y")), HasSubstr("variance of channel 0"));
  OnnxBuilder read = model(1, "mean");
  read.node("Add", {"y", "mean"}, "z");
  EXPECT_THAT(refusal(read.output("z")), HasSubstr("its further output 'mean' is read"));
}

TEST(Tensors, EveryStorageGivesTheSameWeights) {
  const std::vector<float> values{0.5f, -2, 1024, 6.103515625e-05f, 5.9604644775390625e-08f, 0, 65504, -0.0009765625f};
  const std::vector<std::uint16_t> halves{0x3800, 0xC000, 0x6400, 0x0400, 0x0001, 0x0000, 0x7BFF, 0x9400};
  const auto weights = [&](auto fill) {
    OnnxBuilder model({-1, 8, 1, 1});
    fill(*model.graph().add_initializer());
    auto& w = *model.graph().mutable_initializer(0);
    w.set_name("w");
    for (const int extent : {1, 8, 1, 1}) w.add_dims(extent);
    model.node("Conv", {"x", "w"}, "y");
    return layer_of(import(model.output("y")).nodes[1]).weights;
  };
  EXPECT_EQ(weights([&](auto& t) {
              t.set_data_type(onnx::TensorProto::FLOAT);
              t.mutable_float_data()->Add(values.begin(), values.end());
            }),
            values);
  EXPECT_EQ(weights([&](auto& t) {
              t.set_data_type(onnx::TensorProto::DOUBLE);
              t.mutable_double_data()->Add(values.begin(), values.end());
            }),
            values);
  EXPECT_EQ(weights([&](auto& t) {
              t.set_data_type(onnx::TensorProto::FLOAT16);
              t.set_raw_data(halves.data(), 2 * halves.size());
            }),
            values);
  EXPECT_EQ(weights([&](auto& t) {
              t.set_data_type(onnx::TensorProto::FLOAT16);
              t.mutable_int32_data()->Add(halves.begin(), halves.end());
            }),
            values);
}

TEST(Tensors, ConstantNodesAndIdentitiesAreInitializers) {
  OnnxBuilder model({-1, 1, 2, 2});
  auto& node = model.node("Constant", {}, "c");
  onnx::TensorProto& tensor = *attribute(node, "value", onnx::AttributeProto::TENSOR).mutable_t();
  tensor.set_data_type(onnx::TensorProto::FLOAT);
  for (int i = 0; i < 4; ++i) tensor.add_dims(1);
  tensor.add_float_data(3);
  model.node("Identity", {"c"}, "w");
  attribute(model.node("Constant", {}, "bias"), "value_floats", onnx::AttributeProto::FLOATS).add_floats(9);
  model.node("Conv", {"x", "w", "bias"}, "y");
  const Graph graph = import(model.output("y"));
  ASSERT_EQ(graph.nodes.size(), 2u);
  EXPECT_THAT(layer_of(graph.nodes[1]).weights, ElementsAre(3));
  EXPECT_THAT(layer_of(graph.nodes[1]).bias, ElementsAre(9));
}

}  // namespace
}  // namespace qnudge::test
