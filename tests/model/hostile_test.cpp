// SPDX-License-Identifier: MIT
#include <limits>
#include <random>

#include "import_support.hpp"

namespace qnudge::test {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kHuge = std::int64_t{1} << 62;

/// A model with most of what an attacker can touch: weights, attributes, a branch, constants.
OnnxBuilder rich_model() {
  OnnxBuilder model({-1, 2, 6, 6});
  model.floats("w1", {2, 2, 3, 3}, varied(36));
  model.floats("b1", {2}, {1, -1});
  for (const char* name : {"g", "s", "m", "v"}) model.floats(name, {2}, {1, 2});
  model.floats("w2", {2, 2, 2, 2}, varied(16));
  model.floats("fc", {3, 8}, varied(24));
  model.floats("hi", {}, {6});
  model.integers("shape", {0, -1});
  set(model.node("Conv", {"x", "w1", "b1"}, "c1"), "pads", {1, 1, 1, 1});
  model.node("BatchNormalization", {"c1", "g", "s", "m", "v"}, "n1");
  model.floats("lo", {}, {0});
  model.node("Clip", {"n1", "lo", "hi"}, "r1");
  model.node("Add", {"r1", "x"}, "a1");
  set(model.node("Concat", {"a1", "r1"}, "cat"), "axis", 1);
  set(set(model.node("MaxPool", {"a1"}, "p1"), "kernel_shape", {3, 3}), "strides", {3, 3});
  set(model.node("ConvTranspose", {"p1", "w2"}, "t1"), "strides", {2, 2});
  set(set(model.node("AveragePool", {"t1"}, "p2"), "kernel_shape", {2, 2}), "strides", {2, 2});
  model.node("Reshape", {"p2", "shape"}, "f");
  set(model.node("Gemm", {"f", "fc"}, "y"), "transB", 1);
  return model.output("y");
}

TEST(Hostile, EveryTruncationIsRefused) {
  const std::string whole = rich_model().bytes();
  ASSERT_NO_THROW(import_bytes(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string message = refusal_of_bytes(std::string_view(whole).substr(0, size));
    EXPECT_FALSE(message.empty()) << size << " of " << whole.size() << " bytes";
  }
}

/// Nothing but Error(kind input) may come out. `round_trip`: what is accepted must also survive an export.
void import_or_refuse(const std::string& bytes, bool round_trip = false) {
  const ScratchFile file;
  try {
    const Graph graph = import_onnx(file.write(bytes));
    if (round_trip) {
      export_float_onnx(graph, file.path());
      EXPECT_EQ(import_onnx(file.path()).fingerprint, graph.fingerprint);
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
  }
  try {
    examine_onnx(file.write(bytes));
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::input) << error.what();
  }
}

TEST(Hostile, FlippedBytesNeverCrash) {
  const std::string whole = rich_model().bytes();
  std::mt19937_64 random(5);
  for (int trial = 0; trial < 4000; ++trial) {
    std::string bytes = whole;
    const int flips = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < flips; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    import_or_refuse(bytes, trial % 50 == 0);
  }
}

/// Flips stay within a field; these change whole numbers of the parsed model instead.
TEST(Hostile, AbsurdNumbersNeverCrash) {
  const std::int64_t absurd[] = {std::numeric_limits<std::int64_t>::min(),
                                 -kHuge,
                                 -1,
                                 0,
                                 1,
                                 2,
                                 7,
                                 1 << 20,
                                 (1 << 20) + 1,
                                 std::int64_t{1} << 31,
                                 std::int64_t{1} << 32,
                                 kHuge,
                                 std::numeric_limits<std::int64_t>::max()};
  for (const std::int64_t value : absurd) {
    for (int n = 0; n < rich_model().graph().node_size(); ++n) {
      OnnxBuilder model = rich_model();
      for (auto& attribute : *model.graph().mutable_node(n)->mutable_attribute()) {
        for (int i = 0; i < attribute.ints_size(); ++i) attribute.set_ints(i, value);
        attribute.set_i(value);
        import_or_refuse(model.bytes());
      }
    }
    for (int t = 0; t < rich_model().graph().initializer_size(); ++t) {
      OnnxBuilder model = rich_model();
      auto& tensor = *model.graph().mutable_initializer(t);
      for (int i = 0; i < tensor.dims_size(); ++i) {
        tensor.set_dims(i, value);
        import_or_refuse(model.bytes());
      }
    }
    for (int axis = 0; axis < 4; ++axis) {
      OnnxBuilder model = rich_model();
      auto& shape = *model.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
      shape.mutable_dim(axis)->set_dim_value(value);
      import_or_refuse(model.bytes());
    }
  }
}

TEST(Hostile, NotAModel) {
  EXPECT_THAT(refusal_of_bytes(""), HasSubstr("no ONNX graph"));
  EXPECT_THAT(refusal_of_bytes("just some text, no protobuf"), HasSubstr("is no ONNX model"));
  EXPECT_THROW(import_onnx("/nonexistent/model.onnx"), Error);
  EXPECT_THROW(import_onnx(::testing::TempDir()), Error);
  OnnxBuilder empty({-1, 1, 2, 2});
  EXPECT_THAT(refusal(empty.output("x")), HasSubstr("no nodes"));
}

TEST(Hostile, ParserStaysSilent) {
  ::testing::internal::CaptureStderr();
  const std::string bytes = rich_model().bytes();
  refusal_of_bytes(bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(Hostile, Opsets) {
  for (const int opset : {6, 23, -1}) {
    OnnxBuilder model({-1, 1, 2, 2}, opset);
    model.node("Relu", {"x"}, "y");
    EXPECT_THAT(refusal(model.output("y")), HasSubstr("7 to 22 are supported"));
  }
  OnnxBuilder none({-1, 1, 2, 2});
  none.node("Relu", {"x"}, "y");
  none.proto.clear_opset_import();
  EXPECT_THAT(refusal(none.output("y")), HasSubstr("states 0 opsets"));
}

TEST(Hostile, Wiring) {
  OnnxBuilder cycle({-1, 1, 2, 2});
  cycle.node("Add", {"x", "b"}, "a");
  cycle.node("Relu", {"a"}, "b");
  EXPECT_THAT(refusal(cycle.output("b")), HasSubstr("node 'a' (Add) reads the tensor 'b', which only node 'b' (Relu)"));
  OnnxBuilder self({-1, 1, 2, 2});
  self.node("Add", {"x", "y"}, "y");
  EXPECT_THAT(refusal(self.output("y")), HasSubstr("free of cycles"));
  OnnxBuilder missing({-1, 1, 2, 2});
  missing.node("Conv", {"x", "w"}, "y");
  EXPECT_THAT(refusal(missing.output("y")), HasSubstr("reads the tensor 'w', which nothing produces"));
  OnnxBuilder twice({-1, 1, 2, 2});
  twice.node("Relu", {"x"}, "y");
  twice.node("Sigmoid", {"x"}, "y", "other");
  EXPECT_THAT(refusal(twice.output("y")), HasSubstr("produces the tensor 'y' a second time"));
  OnnxBuilder initializers({-1, 1, 2, 2});
  initializers.floats("w", {1}, {1});
  initializers.floats("w", {1}, {1});
  initializers.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(initializers.output("y")), HasSubstr("initializer 'w' stands twice"));
  OnnxBuilder nothing({-1, 1, 2, 2});
  nothing.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(nothing.output("z")), HasSubstr("nothing produces the output 'z'"));
}

TEST(Hostile, Ends) {
  OnnxBuilder inputs({-1, 1, 2, 2});
  inputs.input("second", {1, 1, 2, 2}).node("Add", {"x", "second"}, "y");
  EXPECT_THAT(refusal(inputs.output("y")), HasSubstr("depends on 2 inputs: 'x', 'second'; one"));
  OnnxBuilder outputs({-1, 1, 2, 2});
  outputs.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(outputs.output("y").output("x")), HasSubstr("has the outputs 'y', 'x'; set model_output"));
  OnnxBuilder same({-1, 1, 2, 2});
  same.node("Identity", {"x"}, "y");
  EXPECT_THAT(refusal(same.output("y")), HasSubstr("is the input itself"));
  OnnxBuilder constant({-1, 1, 2, 2});
  constant.floats("w", {1}, {1});
  constant.node("Identity", {"w"}, "y");
  EXPECT_THAT(refusal(constant.output("y")), HasSubstr("does not depend on the input"));
  for (const std::vector<std::int64_t>& dims : {std::vector<std::int64_t>{4}, {1, 1, 1, 1, 1}, {}}) {
    OnnxBuilder rank(dims);
    rank.node("Relu", {"x"}, "y");
    EXPECT_THAT(refusal(rank.output("y")), HasSubstr("[N, C], [N, C, L] or [N, C, H, W] is needed"));
  }
  OnnxBuilder type({-1, 1, 2, 2});
  type.graph().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(onnx::TensorProto::FLOAT16);
  type.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(type.output("y")), HasSubstr("is no FLOAT tensor"));
  OnnxBuilder huge({-1, 3, 1 << 20, 1 << 20});
  huge.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(huge.output("y")), HasSubstr("outside 1 to 2^31 elements"));
  OnnxBuilder zero({-1, 3, 0, 4});
  zero.node("Relu", {"x"}, "y");
  EXPECT_THAT(refusal(zero.output("y")), HasSubstr("has the extent 0; at least 1"));
}

/// Conv with the given weights; `edit` may spoil the rest.
template <class Edit>
std::string conv_refusal(const std::vector<std::int64_t>& dims, const std::vector<float>& weights, Edit edit) {
  OnnxBuilder model({-1, 4, 5, 5});
  onnx::TensorProto& tensor = model.floats("w", dims, weights);
  edit(model.node("Conv", {"x", "w"}, "y"), tensor);
  const std::string message = refusal(model.output("y"));
  EXPECT_THAT(message, HasSubstr("'y' (Conv"));
  return message;
}

TEST(Hostile, ConvAttributes) {
  const auto with = [](auto edit) {
    return conv_refusal({2, 4, 3, 3}, varied(72), [&](onnx::NodeProto& node, onnx::TensorProto&) { edit(node); });
  };
  EXPECT_THAT(with([](auto& n) { set(n, "strides", {0, 1}); }), HasSubstr("strides holds 0"));
  EXPECT_THAT(with([](auto& n) { set(n, "strides", {1}); }), HasSubstr("strides has 1 entries; 2 are needed"));
  EXPECT_THAT(with([](auto& n) { set(n, "pads", {-1, 0, 0, 0}); }), HasSubstr("pads holds -1"));
  EXPECT_THAT(with([](auto& n) { set(n, "dilations", {kHuge, 1}); }), HasSubstr("dilations holds"));
  EXPECT_THAT(with([](auto& n) { set(n, "dilations", {1000000, 1}); }), HasSubstr("does not fit the input"));
  EXPECT_THAT(with([](auto& n) { set(n, "group", 3); }), HasSubstr("group is 3"));
  EXPECT_THAT(with([](auto& n) { set(n, "group", 0); }), HasSubstr("group is 0"));
  EXPECT_THAT(with([](auto& n) { set(n, "kernel_shape", {3, 2}); }), HasSubstr("kernel_shape is [3, 2]"));
  EXPECT_THAT(with([](auto& n) { set(n, "auto_pad", "SAME"); }), HasSubstr("auto_pad is 'SAME'"));
  EXPECT_THAT(with([](auto& n) { set(n, "group", 1.0f); }), HasSubstr("has the type FLOAT; INT is needed"));
  EXPECT_THAT(with([](auto& n) { set(n, "stride", {1, 1}); }), HasSubstr("attribute 'stride' is not one of"));
  EXPECT_THAT(with([](auto& n) { set(set(n, "group", 1), "group", 1); }), HasSubstr("'group' stands twice"));
  EXPECT_THAT(with([](auto& n) { n.add_output("second"); }), HasSubstr("it has 2 outputs"));
  EXPECT_THAT(with([](auto& n) { n.set_input(0, ""); }), HasSubstr("input 0 is left out"));
  EXPECT_THAT(with([](auto& n) { n.set_input(1, "x"); }), HasSubstr("computed by the network; constants are needed"));
}

TEST(Hostile, Weights) {
  const auto keep = [](onnx::NodeProto&, onnx::TensorProto&) {};
  EXPECT_THAT(conv_refusal({kHuge, kHuge, 3, 3}, varied(72), keep), HasSubstr("but holds 72 FLOAT values"));
  EXPECT_THAT(conv_refusal({1 << 16, 1 << 16, 1 << 16, 1 << 16}, {}, keep), HasSubstr("but holds 0 FLOAT values"));
  EXPECT_THAT(conv_refusal({2, 4, 3, -3}, varied(72), keep), HasSubstr("negative extent -3"));
  EXPECT_THAT(conv_refusal({2, 0, 3, 3}, {}, keep), HasSubstr("empty shape [2, 0, 3, 3]"));
  EXPECT_THAT(conv_refusal({8, 9}, varied(72), keep), HasSubstr("rank 4 is needed"));
  EXPECT_THAT(conv_refusal({4, 2, 3, 3}, varied(72), keep), HasSubstr("input has 4 channels"));
  EXPECT_THAT(conv_refusal({1, 4, 1, 1}, {1, 2, std::numeric_limits<float>::quiet_NaN(), 3}, keep),
              HasSubstr("tensor 'w' holds nan at index 2"));
  EXPECT_THAT(conv_refusal({1, 4, 1, 1}, {1, std::numeric_limits<float>::infinity(), 2, 3}, keep),
              HasSubstr("holds inf at index 1"));
  const auto typed = [](auto edit) {
    return conv_refusal({1, 4, 1, 1}, varied(4), [&](onnx::NodeProto&, onnx::TensorProto& tensor) { edit(tensor); });
  };
  EXPECT_THAT(typed([](auto& t) { t.set_data_type(onnx::TensorProto::INT8); }), HasSubstr("holds 16 INT8 values"));
  EXPECT_THAT(typed([](auto& t) { t.set_data_type(12345); }), HasSubstr("'w' is type 12345"));
  EXPECT_THAT(typed([](auto& t) { t.mutable_raw_data()->pop_back(); }), HasSubstr("holds 15 raw bytes"));
  EXPECT_THAT(typed([](auto& t) { t.add_float_data(1); }), HasSubstr("16 raw bytes and 1 typed values"));
  EXPECT_THAT(typed([](auto& t) {
                t.clear_raw_data();
                t.set_data_type(onnx::TensorProto::DOUBLE);
                for (int i = 0; i < 4; ++i) t.add_double_data(1e300);
              }),
              HasSubstr("holds inf at index 0"));
}

TEST(Hostile, SharedWeightsCannotMultiplyMemory) {
  const auto shared = [](int nodes) {
    OnnxBuilder model({-1, 64, 1, 1});
    model.floats("w", {64, 64, 1, 1}, std::vector<float>(64 * 64, 0.5f));
    std::string tensor = "x";
    for (int i = 0; i < nodes; ++i) {
      const std::string next = fmt::format("t{}", i);
      model.node("Conv", {tensor, "w"}, next);
      tensor = next;
    }
    return model.output(tensor);
  };
  EXPECT_EQ(import(shared(16)).nodes.size(), 17u);
  EXPECT_THAT(refusal(shared(200)), HasSubstr("too many nodes share a tensor"));
}

TEST(Hostile, RanksThatDoNotFit) {
  OnnxBuilder conv({-1, 2, 1, 1});
  conv.floats("w", {2, 2, 1, 1}, varied(4));
  conv.node("Flatten", {"x"}, "f");
  conv.node("Conv", {"f", "w"}, "y");
  EXPECT_THAT(refusal(conv.output("y")), HasSubstr("it reads [N, 2]; [N, C, L]"));
  OnnxBuilder gemm({-1, 2, 1, 1});
  gemm.floats("w", {2, 2}, varied(4));
  gemm.node("Gemm", {"x", "w"}, "y");
  EXPECT_THAT(refusal(gemm.output("y")), HasSubstr("it multiplies [N, 2, 1, 1]; a matrix is needed"));
  OnnxBuilder features({-1, 2, 1, 1});
  features.floats("w", {3, 2}, varied(6));
  features.node("Flatten", {"x"}, "f");
  features.node("MatMul", {"f", "w"}, "y");
  EXPECT_THAT(refusal(features.output("y")), HasSubstr("weights have the shape [3, 2], but the input has 2 features"));
}

}  // namespace
}  // namespace qnudge::test
