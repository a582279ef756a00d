// SPDX-License-Identifier: MIT
#include "qnudge/quant/onnx_export.hpp"

#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <random>

#include "qdq_networks.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "support/naive_network.hpp"
#include "support/npy.hpp"
#include "support/random_graph.hpp"

namespace qnudge::test {
namespace {

namespace fs = std::filesystem;

struct Named {
  std::string name;
  IntNetwork network;
};

IntNetwork residual_network() {
  IntNetworkOf net({9, 8, 3});
  const int stem = net.conv(0, {.k = 8, .low = 0});
  const int branch = net.conv(net.conv(stem, {.k = 8, .bits = 4, .low = 0}), {.k = 8, .bits = 4, .per_channel = false});
  const int first = net.add(branch, stem, -3, 0);
  const int down = net.conv(first, {.k = 12, .r = 1, .s = 1, .stride = 2, .pad = 0, .bits = 3, .exponent = -5});
  const int main = net.conv(net.conv(first, {.k = 12, .stride = 2, .low = 0}), {.k = 12, .exponent = -2});
  const int second = net.add(main, down, -3);
  const int third = net.add(net.conv(second, {.k = 12, .groups = 12}), second, -3, 0, 96);
  return net.finish(net.gemm(net.view(net.global_average(third, -4)), {.k = 10, .bits = 6}));
}

IntNetwork concat_network() {
  IntNetworkOf net({8, 8, 4});
  const int stem = net.conv(0, {.k = 8, .groups = 2});  // read three times, no ReLU
  const int a = net.conv(stem, {.k = 6, .r = 1, .s = 3, .pad = 1, .dilation = 1, .bits = 2});
  const int b = net.conv(stem, {.k = 6, .r = 1, .s = 3, .pad = 1, .low = 0});
  const int shared = net.clamp(stem, 0, 127);
  const int joined = net.concat({a, b});
  Window two;
  two.r = two.s = two.stride_h = two.stride_w = 2;
  const int pooled = net.pool(joined, IntOp::max_pool, two, -4);
  const int twice = net.concat({pooled, pooled, net.clamp(pooled, -20, 50)});
  const int flat = net.view(twice);
  const int hidden = net.gemm(flat, {.k = 16, .low = 0, .high = 90});
  const int skip = net.gemm(net.view(net.global_average(shared, -3)), {.k = 16, .per_channel = false});
  return net.finish(net.gemm(net.add(hidden, skip, -4), {.k = 5, .per_channel = false}));
}

IntNetwork pooling_network() {
  IntNetworkOf net({11, 10, 6});
  Window three;
  three.r = three.s = 3;
  three.stride_h = three.stride_w = 2;
  three.pad_top = three.pad_right = 1;
  Window tall;
  tall.r = 3;
  tall.s = 2;
  const int a = net.pool(net.conv(0, {.k = 6, .groups = 6}), IntOp::average_pool, three, -5);
  const int b = net.pool(a, IntOp::average_pool, tall, -5, true);
  const int c = net.pool(b, IntOp::average_pool, three, -6, true);
  const int gate = net.sigmoid(net.conv(c, {.k = 4, .low = 0, .high = 96}));
  return net.finish(gate);
}

IntNetwork transposed_network(bool float_output) {
  IntNetworkOf net({5, 4, 6});
  const int up = net.conv(0, {.k = 8, .pad = 1, .groups = 2, .spread = 2, .output_padding = 1, .low = 0});
  const int more = net.conv(up, {.k = 4, .r = 4, .s = 2, .pad = 0, .spread = 2, .bits = 5});
  const int back = net.add(more, more, -3);
  const int last = net.conv(back, {.k = 3, .r = 2, .s = 2, .pad = 0, .low = 0});
  return net.finish(float_output ? last : net.clamp(last, 0, 100));
}

IntNetwork line_network() {
  IntNetworkOf net({24, 1, 5}, 1);
  const int a = net.conv(0, {.k = 8, .r = 5, .stride = 2, .pad = 2, .low = 0});
  Window w;
  w.r = 3;
  w.stride_h = 2;
  w.pad_bottom = 1;
  const int b = net.pool(net.conv(a, {.k = 8, .dilation = 2, .groups = 8}), IntOp::max_pool, w, -4);
  const int up = net.conv(b, {.k = 6, .r = 4, .pad = 1, .spread = 2, .output_padding = 1, .low = 0, .high = 80});
  return net.finish(net.gemm(net.concat({up, up}), {.k = 7, .bits = 4}));  // flattened without a view
}

IntNetwork sigmoid_network(int exponent) {
  IntNetworkOf net({16, 16, 1}, 2, exponent);
  return net.finish(net.sigmoid(0));
}

std::vector<Named> hand_made() {
  return {{"residual", residual_network()},
          {"concat", concat_network()},
          {"pooling", pooling_network()},
          {"transposed", transposed_network(true)},
          {"transposed_codes", transposed_network(false)},
          {"line", line_network()}};
}

/// A random float graph, quantised on a random grid with random ranges.
IntNetwork random_network(std::uint64_t seed) {
  const Graph graph = random_graph(seed);
  std::mt19937_64 engine(seed);
  const auto draw = [&](int n) { return static_cast<int>(engine() % static_cast<std::uint64_t>(n)); };
  IntNetwork net = lower(graph, draw(2) == 0 ? BatchNormMode::separate : BatchNormMode::fold);
  Ranges ranges;
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) ranges.push_back(std::ldexp(1.5f, draw(3)));
  calibrate(net, ranges);
  for (Layer& layer : net.layers) {
    const Grid grid{2 + draw(7), draw(2) == 0 ? GridScheme::per_layer : GridScheme::per_channel,
                    draw(2) == 0 ? GridScale::pow2 : GridScale::free, GridRange::max};
    layer.params = quantise_layer(net, layer, grid);
  }
  return net;
}

class OnnxExport : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ =
        fs::temp_directory_path() / ("qnudge_onnx_export_" + std::string(info->name()) + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { if (!std::getenv("KEEP")) fs::remove_all(folder_); }

  fs::path write(const std::string& bytes, const std::string& name = "model.onnx") const {
    write_file_atomically(folder_ / name, bytes);
    return folder_ / name;
  }

  /// Random images and the oracle's outputs beside the model; the arguments of check_qdq.py.
  std::string check_arguments(const Named& item, int images, bool all_codes = false) const {
    const IntNetwork& net = item.network;
    const Shape &in = net.at(0).shape, &out = net.at(net.output).shape;
    std::mt19937_64 engine(3);
    std::vector<float> inputs, outputs;
    for (int n = 0; n < images; ++n) {
      std::vector<std::int8_t> codes;
      for (std::int64_t i = 0; i < in.size(); ++i) codes.push_back(static_cast<std::int8_t>(all_codes ? i : engine()));
      to_planar(in,
                [&](std::size_t i) { inputs.push_back(std::ldexp(static_cast<float>(codes[i]), net.at(0).exponent)); });
      const std::vector<float> values = naive_run(net, codes)[static_cast<std::size_t>(net.output)].values;
      to_planar(out, [&](std::size_t i) { outputs.push_back(values[i]); });
    }
    const auto dims = [&](const Shape& s) {
      std::vector<std::int64_t> all{images, s.c, s.h};
      if (net.spatial_rank == 2) all.push_back(s.w);
      return all;
    };
    const fs::path model = write(to_qdq_onnx(net), item.name + ".onnx");
    const fs::path x = folder_ / (item.name + ".in.npy"), y = folder_ / (item.name + ".out.npy");
    write_npy(x, dims(in), inputs);
    write_npy(y, flat_output(model) ? std::vector<std::int64_t>{images, out.size()} : dims(out), outputs);
    return " '" + model.string() + "' '" + x.string() + "' '" + y.string() + "'";
  }

  template <class Use>
  static void to_planar(const Shape& s, const Use& use) {
    for (std::int64_t c = 0; c < s.c; ++c) {
      for (std::int64_t hw = 0; hw < s.h * s.w; ++hw) use(static_cast<std::size_t>(hw * s.c + c));
    }
  }
  static bool flat_output(const fs::path& model);

  static void expect_check_passes(const std::string& arguments) {
    const char* python = std::getenv("QNUDGE_PYTHON");
    if (python == nullptr) GTEST_SKIP() << "QNUDGE_PYTHON is unset: no interpreter with onnxruntime to ask";
    const std::string command =
        "'" + std::string(python) + "' '" QNUDGE_SOURCE_DIR "/tests/python/check_qdq.py' --exact";
    EXPECT_EQ(std::system((command + arguments).c_str()), 0) << command << arguments;
  }

  fs::path folder_;
};

onnx::ModelProto parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

bool OnnxExport::flat_output(const fs::path& model) {
  const auto bytes = read_file(model);
  return parse({bytes.begin(), bytes.end()}).graph().output(0).type().tensor_type().shape().dim_size() == 2;
}

void expect_same_network(const IntNetwork& is, const IntNetwork& should) {
  EXPECT_EQ(is.output, should.output);
  EXPECT_EQ(is.spatial_rank, should.spatial_rank);
  EXPECT_EQ(is.input_name, should.input_name);
  EXPECT_EQ(is.output_name, should.output_name);
  ASSERT_EQ(is.nodes.size(), should.nodes.size());
  ASSERT_EQ(is.layers.size(), should.layers.size());
  for (std::size_t i = 0; i < is.nodes.size(); ++i) {
    SCOPED_TRACE(should.nodes[i].name);
    const IntNode &a = is.nodes[i], &b = should.nodes[i];
    EXPECT_EQ(std::tie(a.op, a.name, a.inputs, a.shape, a.exponent, a.low, a.high, a.layer),
              std::tie(b.op, b.name, b.inputs, b.shape, b.exponent, b.low, b.high, b.layer));
    EXPECT_EQ(std::tie(a.multiplier_a, a.multiplier_b, a.multiplier, a.pool, a.count_include_pad, a.table),
              std::tie(b.multiplier_a, b.multiplier_b, b.multiplier, b.pool, b.count_include_pad, b.table));
  }
  for (std::size_t i = 0; i < is.layers.size(); ++i) {
    SCOPED_TRACE(should.layers[i].name);
    const Layer &a = is.layers[i], &b = should.layers[i];
    EXPECT_EQ(std::tie(a.name, a.node, a.conv, a.filter, a.in, a.out, a.gemm, a.tunable),
              std::tie(b.name, b.node, b.conv, b.filter, b.in, b.out, b.gemm, b.tunable));
    EXPECT_EQ(std::tie(a.params.bits, a.params.codes, a.params.bias, a.params.multiplier),
              std::tie(b.params.bits, b.params.codes, b.params.bias, b.params.multiplier));
    EXPECT_EQ(a.gain, std::vector<double>(b.params.bias.size(), 1.0));
  }
}

TEST_F(OnnxExport, ReadsBackWhatItWrote) {
  for (const Named& item : hand_made()) {
    SCOPED_TRACE(item.name);
    const std::string bytes = to_qdq_onnx(item.network);
    EXPECT_EQ(bytes, to_qdq_onnx(item.network));
    const fs::path path = write(bytes);
    EXPECT_TRUE(is_qdq_onnx(path));
    expect_same_network(import_qdq_onnx(path), item.network);
  }
}

TEST_F(OnnxExport, ReadsBackRandomNetworks) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const IntNetwork net = random_network(seed);
    expect_same_network(import_qdq_onnx(write(to_qdq_onnx(net))), net);
    if (HasFailure()) return;
  }
}

TEST_F(OnnxExport, ImportStatesEffectiveScalesAndShifts) {
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

TEST_F(OnnxExport, OnnxRuntimeAgreesOnHandMadeNetworks) {
  std::string arguments;
  for (const Named& item : hand_made()) arguments += check_arguments(item, 20);
  expect_check_passes(arguments);
}

TEST_F(OnnxExport, OnnxRuntimeAgreesOnRandomNetworks) {
  std::string arguments;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    arguments += check_arguments({"random" + std::to_string(seed), random_network(seed)}, 8);
  }
  expect_check_passes(arguments);
}

TEST_F(OnnxExport, OnnxRuntimeAgreesOnEverySigmoidCode) {
  std::string arguments;
  for (int exponent = -12; exponent <= 4; ++exponent) {
    arguments += check_arguments({"sigmoid" + std::to_string(exponent + 12), sigmoid_network(exponent)}, 1, true);
  }
  expect_check_passes(arguments);
}

TEST_F(OnnxExport, ZeroPointsAreZeroAndScalesPositive) {
  for (const Named& item : hand_made()) {
    const onnx::ModelProto model = parse(to_qdq_onnx(item.network));
    EXPECT_EQ(model.opset_import(0).version(), 13);
    for (const onnx::TensorProto& tensor : model.graph().initializer()) {
      if (tensor.name().find("zero") == std::string::npos) continue;
      EXPECT_EQ(tensor.raw_data(), std::string(tensor.raw_data().size(), '\0')) << tensor.name();
    }
  }
}

/// Operators that read the tensor.
std::vector<std::string> readers_of(const onnx::GraphProto& graph, const std::string& tensor) {
  std::vector<std::string> ops;
  for (const onnx::NodeProto& node : graph.node()) {
    for (const std::string& input : node.input()) {
      if (input == tensor) ops.push_back(node.op_type());
    }
  }
  return ops;
}

TEST_F(OnnxExport, ReluStandsBehindItsOwnQuantiserForOnnxRuntimeAndBeforeItForTensorRt) {
  IntNetworkOf builder({4, 4, 2});
  const IntNetwork net = builder.finish(builder.gemm(builder.conv(0, {.low = 0}), {}));
  for (const ExportTarget target : {ExportTarget::onnxruntime, ExportTarget::tensorrt}) {
    const onnx::ModelProto model = parse(to_qdq_onnx(net, target));
    for (const onnx::NodeProto& node : model.graph().node()) {
      const auto next = readers_of(model.graph(), node.output(0));
      const bool tensorrt = target == ExportTarget::tensorrt;
      const std::map<std::string, std::vector<std::string>> should{
          {"Conv", {tensorrt ? "Relu" : "QuantizeLinear"}}, {"Relu", {"QuantizeLinear"}}, {"Gemm", {}}};
      const auto known = should.find(node.op_type());
      if (known != should.end()) {
        EXPECT_EQ(next, known->second) << node.op_type();
      }
    }
    int int32_tensors = 0;
    for (const onnx::TensorProto& tensor : model.graph().initializer()) {
      int32_tensors += tensor.data_type() == onnx::TensorProto::INT32 ? 1 : 0;
    }
    EXPECT_EQ(int32_tensors > 0, target == ExportTarget::onnxruntime);
    if (target == ExportTarget::tensorrt) {
      EXPECT_THROW(import_qdq_onnx(write(to_qdq_onnx(net, target))), Error);
    }
  }
}

TEST_F(OnnxExport, RefusesANetworkThatContradictsItself) {
  IntNetwork net = residual_network();
  for (IntNode& node : net.nodes) {
    if (node.op == IntOp::add) node.multiplier_a *= 2;
  }
  EXPECT_THROW(to_qdq_onnx(net), Error);
  net = residual_network();
  net.layers[1].params.multiplier[0] = std::ldexp(1.0f, -126);
  net.layers[1].params.multiplier[1] = 0;
  EXPECT_THROW(to_qdq_onnx(net), Error);
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

TEST_F(OnnxExport, RefusesAFileCutAtAnyByte) {
  const std::string bytes = to_qdq_onnx(tiny_network());
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SCOPED_TRACE(length);
    const fs::path path = folder_ / "cut.onnx";
    std::ofstream(path, std::ios::binary) << bytes.substr(0, length);
    is_qdq_onnx(path);
    expect_refused(path);
  }
  EXPECT_FALSE(is_qdq_onnx(folder_ / "missing.onnx"));
  EXPECT_FALSE(is_qdq_onnx(folder_));
  EXPECT_THROW(import_qdq_onnx(folder_ / "missing.onnx"), Error);
}

TEST_F(OnnxExport, AChangedByteIsRefusedOrChangesTheNetwork) {
  const std::string bytes = to_qdq_onnx(tiny_network());
  const fs::path path = folder_ / "changed.onnx";
  std::mt19937_64 engine(5);
  int accepted = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string changed = bytes;
    changed[engine() % changed.size()] = static_cast<char>(engine());
    if (i % 3 == 0) changed[engine() % changed.size()] = static_cast<char>(engine());
    std::ofstream(path, std::ios::binary) << changed;
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

TEST_F(OnnxExport, RefusesHostileModels) {
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
      {"subtraction", [](Model& m) { first(m, "Add").set_op_type("Sub"); }},
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
