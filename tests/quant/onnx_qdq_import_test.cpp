// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "graphs.hpp"
#include "qdq_cases.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/onnx_export.hpp"

namespace qnudge::test {
namespace {

using OnnxQdqImport = QdqFiles;

void expect_same_network(const IntNetwork& is, const IntNetwork& should) {
  EXPECT_EQ(is.output, should.output);
  EXPECT_EQ(is.spatial_rank, should.spatial_rank);
  EXPECT_EQ(is.flatten_output, should.flatten_output);
  EXPECT_EQ(is.input_name, should.input_name);
  EXPECT_EQ(is.output_name, should.output_name);
  EXPECT_EQ(is.activations, should.activations);
  ASSERT_EQ(is.nodes.size(), should.nodes.size());
  ASSERT_EQ(is.layers.size(), should.layers.size());
  for (std::size_t i = 0; i < is.nodes.size(); ++i) {
    SCOPED_TRACE(should.nodes[i].name);
    const IntNode &a = is.nodes[i], &b = should.nodes[i];
    EXPECT_EQ(std::tie(a.what, a.name, a.inputs, a.shape, a.exponent, a.low, a.high),
              std::tie(b.what, b.name, b.inputs, b.shape, b.exponent, b.low, b.high));
  }
  for (std::size_t i = 0; i < is.layers.size(); ++i) {
    SCOPED_TRACE(should.layers[i].name);
    const Layer &a = is.layers[i], &b = should.layers[i];
    EXPECT_EQ(std::tie(a.name, a.node, a.conv, a.filter, a.in, a.out, a.gemm, a.tunable),
              std::tie(b.name, b.node, b.conv, b.filter, b.in, b.out, b.gemm, b.tunable));
    EXPECT_EQ(std::tie(a.params.bits, a.params.codes, a.params.bias, a.params.multiplier),
              std::tie(b.params.bits, b.params.codes, b.params.bias, b.params.multiplier));
    EXPECT_EQ(a.gain, std::vector<double>(b.params.bias.size(), 1.0));
    if (should.half()) {
      EXPECT_EQ(half_filter(a, a.params), half_filter(b, b.params));
    }
  }
}

TEST_F(OnnxQdqImport, ReadsBackWhatItWrote) {
  for (const Named& item : hand_made()) {
    SCOPED_TRACE(item.name);
    const std::string bytes = to_qdq_onnx(item.network);
    EXPECT_EQ(bytes, to_qdq_onnx(item.network));
    const fs::path path = write(bytes);
    EXPECT_TRUE(is_qdq_onnx(path));
    expect_same_network(import_qdq_onnx(path), item.network);
  }
}

TEST_F(OnnxQdqImport, ReadsBackInterpolationsAndChecksThem) {
  for (const int rank : {1, 2}) {
    const IntNetwork net = odd_resize_network(rank);
    expect_same_network(import_qdq_onnx(write(to_qdq_onnx(net))), net);
  }
  for (const char* text :
       {"resize half_pixel 1", "resize cubic 1073741824 1073741824",
        "resize tf_half_pixel_for_nn 1073741824 1073741824", "resize half_pixel 2143289344 1073741824",
        "resize half_pixel 0 1073741824", "resize half_pixel 1073741824 3221225472",
        "resize half_pixel 1232348160 1232348160", "resize half_pixel 872415232 1073741824"}) {
    onnx::ModelProto model = parse(to_qdq_onnx(resize_network(2)));
    for (onnx::NodeProto& node : *model.mutable_graph()->mutable_node()) {
      if (node.op_type() == "Resize") node.set_doc_string(text);
    }
    EXPECT_THROW(import_qdq_onnx(write(model.SerializeAsString())), Error) << text;
  }
}

TEST_F(OnnxQdqImport, ReadsBackRandomNetworks) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const IntNetwork net = random_network(seed);
    expect_same_network(import_qdq_onnx(write(to_qdq_onnx(net))), net);
    if (HasFailure()) return;
  }
}

TEST_F(OnnxQdqImport, ReadsBackHalfActivations) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    const IntNetwork net = random_network(seed, Activations::half);
    const IntNetwork is = import_qdq_onnx(write(to_qdq_onnx(net)));
    expect_same_network(is, net);
    for (std::size_t i = 0; i < net.nodes.size() && !HasFailure(); ++i) {
      const HalfBounds a = half_bounds(is.nodes[i]), b = half_bounds(net.nodes[i]);
      EXPECT_EQ(std::pair(a.low, a.high), std::pair(b.low, b.high)) << net.nodes[i].name;
    }
    if (HasFailure()) return;
  }
}

TEST_F(OnnxQdqImport, ImportStatesEffectiveScalesAndShifts) {
  IntNetworkOf builder({3, 3, 2}, 2, -3);
  IntNetwork net = builder.finish(builder.add(builder.conv(0, {.k = 2, .exponent = -1}), 0, 0));
  LayerParams& p = net.layers[0].params;
  p.multiplier = {0.75f, 0.003f};
  p.bias = {40, -7};
  std::fill(p.codes.begin(), p.codes.begin() + 18, std::int8_t{0});
  const Layer layer = import_qdq_onnx(write(to_qdq_onnx(net))).layers[0];
  EXPECT_EQ(layer.params.scale, (std::vector<float>{0.75f * 4, 0.003f * 4}));
  EXPECT_EQ(layer.shift, (std::vector<double>{40 * 0.375, -7 * 0.5 * static_cast<double>(0.003f)}));
  EXPECT_EQ(layer.params.frozen, (std::vector<std::uint8_t>{1, 0}));
  EXPECT_TRUE(layer.weights.empty());
}

IntNetwork tiny_network() {
  IntNetworkOf net({3, 3, 2});
  const int a = net.conv(0, {.k = 2, .low = 0});
  return net.finish(net.gemm(net.add(a, net.conv(a, {.k = 2, .spread = 1}), -4), {.k = 2}));
}

void expect_refused(const fs::path& path) {
  try {
    import_qdq_onnx(path);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input);
    EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos);
  }
}

TEST_F(OnnxQdqImport, RefusesAFileCutAtAnyByte) {
  const std::string bytes = to_qdq_onnx(tiny_network());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SCOPED_TRACE(length);
    const fs::path path = write(bytes.substr(0, length));
    is_qdq_onnx(path);
    expect_refused(path);
  }
  EXPECT_FALSE(is_qdq_onnx(folder_ / "missing.onnx"));
  EXPECT_FALSE(is_qdq_onnx(folder_));
  EXPECT_THROW(import_qdq_onnx(folder_ / "missing.onnx"), Error);
}

/// A Clip with both bounds, a layer left in half precision, one of codes, an addition.
IntNetwork tiny_half_network() {
  GraphOf g({3, 3, 2});
  const int a = g.clip(g.conv(0, 2, {1, 2, 0.3f, 4}), -0.75f, 2.5f);
  g.conv(g.add(FloatCombine{}, {a, g.conv(a, 2, {0.1f, -2, 3, 1})}), 3, {1, 2, 3, 4, 5, 6});
  IntNetwork net = lower(g.graph(), BatchNormMode::separate);
  net.activations = Activations::half;
  std::vector<int> exponents(net.nodes.size(), -4);
  exponents.back() = 0;
  set_exponents(net, exponents);
  for (Layer& layer : net.layers) {
    layer.params = &layer == net.layers.data() ? half_layer(net, layer) : quantise_layer(net, layer, Grid{.bits = 5});
  }
  return net;
}

TEST_F(OnnxQdqImport, AChangedByteIsRefusedOrChangesTheNetwork) {
  const std::string integer = to_qdq_onnx(tiny_network()), half = to_qdq_onnx(tiny_half_network());
  expect_same_network(import_qdq_onnx(write(half)), tiny_half_network());
  std::mt19937_64 engine(5);
  int accepted = 0;
  for (int i = 0; i < 6000; ++i) {
    const std::string& bytes = i % 3 == 0 ? integer : half;
    std::string changed = bytes;
    changed[engine() % changed.size()] = static_cast<char>(engine());
    if (i % 5 == 0) changed[engine() % changed.size()] = static_cast<char>(engine());
    const fs::path path = write(changed);
    try {
      const IntNetwork net = import_qdq_onnx(path);
      EXPECT_EQ(parse(to_qdq_onnx(net)).SerializeAsString(), parse(changed).SerializeAsString());
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input);
    }
  }
  EXPECT_GT(accepted, 0);  // weights and names may be anything
}

onnx::TensorProto& initializer(onnx::ModelProto& model, const std::string& ending) {
  for (onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
    if (tensor.name().ends_with(ending)) return tensor;
  }
  throw std::out_of_range(ending);
}
onnx::NodeProto& first(onnx::ModelProto& model, const std::string& op) {
  for (onnx::NodeProto& node : *model.mutable_graph()->mutable_node()) {
    if (node.op_type() == op) return node;
  }
  throw std::out_of_range(op);
}
onnx::AttributeProto& attribute(onnx::NodeProto& node, const std::string& name) {
  for (onnx::AttributeProto& a : *node.mutable_attribute()) {
    if (a.name() == name) return a;
  }
  throw std::out_of_range(name);
}

TEST_F(OnnxQdqImport, RefusesHostileModels) {
  using Model = onnx::ModelProto;
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const auto float_bytes = [](float value) { return std::string(reinterpret_cast<const char*>(&value), 4); };
  const auto set_dim = [](Model& m, int i, std::int64_t v) {
    m.mutable_graph()
        ->mutable_input(0)
        ->mutable_type()
        ->mutable_tensor_type()
        ->mutable_shape()
        ->mutable_dim(i)
        ->set_dim_value(v);
  };
  const std::vector<std::pair<std::string, std::function<void(Model&)>>> edits{
      {"no graph", [](Model& m) { m.clear_graph(); }},
      {"another tool's", [](Model& m) { m.set_producer_name("another.tool\x1b[2J"); }},
      {"no nodes", [](Model& m) { m.mutable_graph()->clear_node(); }},
      {"two inputs", [](Model& m) { *m.mutable_graph()->add_input() = m.graph().input(0); }},
      {"two outputs", [](Model& m) { *m.mutable_graph()->add_output() = m.graph().output(0); }},
      {"no output", [](Model& m) { m.mutable_graph()->clear_output(); }},
      {"unknown output", [](Model& m) { m.mutable_graph()->mutable_output(0)->set_name("none"); }},
      {"huge height", [&](Model& m) { set_dim(m, 2, kHuge); }},
      {"negative height", [&](Model& m) { set_dim(m, 2, -3); }},
      {"zero channels", [&](Model& m) { set_dim(m, 1, 0); }},
      {"large image", [&](Model& m) { set_dim(m, 2, 1 << 24), set_dim(m, 3, 1 << 24); }},
      {"rank 2",
       [](Model& m) {
         m.mutable_graph()
             ->mutable_input(0)
             ->mutable_type()
             ->mutable_tensor_type()
             ->mutable_shape()
             ->mutable_dim()
             ->RemoveLast();
       }},
      {"cycle", [](Model& m) { first(m, "Conv").set_input(0, first(m, "Conv").output(0)); }},
      {"later tensor", [](Model& m) { first(m, "Conv").set_input(0, first(m, "Gemm").output(0)); }},
      {"no inputs", [](Model& m) { first(m, "Conv").clear_input(); }},
      {"no outputs", [](Model& m) { first(m, "Add").clear_output(); }},
      {"two tensors from one node", [](Model& m) { first(m, "Add").add_output("more"); }},
      {"one summand", [](Model& m) { first(m, "Add").mutable_input()->RemoveLast(); }},
      {"unknown operator", [](Model& m) { first(m, "Relu").set_op_type("Elu"); }},
      {"remainder", [](Model& m) { first(m, "Add").set_op_type("Mod"); }},
      {"other domain", [](Model& m) { first(m, "Relu").set_domain("com.example"); }},
      {"other opset", [](Model& m) { m.mutable_opset_import(0)->set_version(14); }},
      {"weight too short", [](Model& m) { initializer(m, "/weight").mutable_raw_data()->pop_back(); }},
      {"weight huge", [&](Model& m) { initializer(m, "/weight").set_dims(0, kHuge); }},
      {"weight negative", [](Model& m) { initializer(m, "/weight").set_dims(0, -2); }},
      {"weight zero", [](Model& m) { initializer(m, "/weight").set_dims(1, 0); }},
      {"weight rank", [](Model& m) { initializer(m, "/weight").add_dims(1); }},
      {"weight overflow",
       [](Model& m) {
         for (int i = 0; i < 4; ++i) initializer(m, "/weight").set_dims(i, 1 << 16);
       }},
      {"weight float", [](Model& m) { initializer(m, "/weight").set_data_type(onnx::TensorProto::FLOAT); }},
      {"weight elsewhere", [](Model& m) { initializer(m, "/weight").clear_raw_data(); }},
      {"scale NaN", [&](Model& m) { initializer(m, "/2^-5").set_raw_data(float_bytes(std::nanf(""))); }},
      {"scale zero", [&](Model& m) { initializer(m, "/2^-5").set_raw_data(float_bytes(0)); }},
      {"scale negative", [&](Model& m) { initializer(m, "/2^-5").set_raw_data(float_bytes(-0.5f)); }},
      {"scale three", [&](Model& m) { initializer(m, "/2^-5").set_raw_data(float_bytes(3)); }},
      {"scale tiny", [&](Model& m) { initializer(m, "/2^-5").set_raw_data(float_bytes(1e-45f)); }},
      {"weight scale NaN",
       [&](Model& m) { initializer(m, "/weight_scale").set_raw_data(float_bytes(std::nanf("")) + float_bytes(1)); }},
      {"weight scale negative",
       [&](Model& m) { initializer(m, "/weight_scale").set_raw_data(float_bytes(1) + float_bytes(-1)); }},
      {"bias scale", [&](Model& m) { initializer(m, "/bias_scale").set_raw_data(float_bytes(1) + float_bytes(1)); }},
      {"zero point", [](Model& m) { initializer(m, "zero/int8").set_raw_data("\x01"); }},
      {"no such initialiser", [](Model& m) { initializer(m, "/bias").set_name("other"); }},
      {"groups", [&](Model& m) { attribute(first(m, "Conv"), "group").set_i(kHuge); }},
      {"no groups", [](Model& m) { attribute(first(m, "Conv"), "group").set_i(0); }},
      {"pads", [&](Model& m) { attribute(first(m, "Conv"), "pads").set_ints(0, kHuge); }},
      {"large pads",
       [](Model& m) {
         for (int i = 0; i < 4; ++i) attribute(first(m, "Conv"), "pads").set_ints(i, 1 << 20);
       }},
      {"strides", [](Model& m) { attribute(first(m, "Conv"), "strides").set_ints(0, 0); }},
      {"negative strides", [](Model& m) { attribute(first(m, "ConvTranspose"), "strides").set_ints(0, -1); }},
      {"large strides", [](Model& m) { attribute(first(m, "ConvTranspose"), "strides").set_ints(0, 1 << 20); }},
      {"dilations", [](Model& m) { attribute(first(m, "Conv"), "dilations").add_ints(1); }},
      {"output padding", [](Model& m) { attribute(first(m, "ConvTranspose"), "group").set_name("output_padding"); }},
      {"transA", [](Model& m) { attribute(first(m, "Gemm"), "transB").set_name("transA"); }},
      {"bits", [](Model& m) { first(m, "Conv").set_doc_string("9 bits"); }},
      {"fewer bits", [](Model& m) { first(m, "Conv").set_doc_string("2 bits"); }},
      {"foreign part", [](Model& m) { first(m, "Relu").set_doc_string("part of something"); }},
      {"metadata", [](Model& m) { m.add_metadata_props()->set_key("a"); }},
      {"function", [](Model& m) { m.mutable_graph()->add_node()->set_op_type("Identity"); }},
      {"subgraph", [](Model& m) { first(m, "Relu").add_attribute()->mutable_g()->set_name("g"); }},
  };
  const std::string bytes = to_qdq_onnx(tiny_network());
  for (const auto& [name, edit] : edits) {
    SCOPED_TRACE(name);
    Model model = parse(bytes);
    edit(model);
    expect_refused(write(model.SerializeAsString()));
  }
}

}  // namespace
}  // namespace qnudge::test
