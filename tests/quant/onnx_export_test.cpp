// SPDX-License-Identifier: MIT
#include "qnudge/quant/onnx_export.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>

#include "qdq_cases.hpp"
#include "qnudge/core/error.hpp"
#include "support/naive_network.hpp"
#include "support/npy.hpp"

namespace qnudge::test {
namespace {

class OnnxExport : public QdqFiles {
 protected:
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
    const std::string bytes = to_qdq_onnx(net);
    const fs::path model = write(bytes, item.name + ".onnx");
    const fs::path x = folder_ / (item.name + ".in.npy"), y = folder_ / (item.name + ".out.npy");
    write_npy(x, dims(in), inputs);
    write_npy(y, flat_output(bytes) ? std::vector<std::int64_t>{images, out.size()} : dims(out), outputs);
    return " '" + model.string() + "' '" + x.string() + "' '" + y.string() + "'";
  }

  template <class Use>
  static void to_planar(const Shape& s, const Use& use) {
    for (std::int64_t c = 0; c < s.c; ++c) {
      for (std::int64_t hw = 0; hw < s.h * s.w; ++hw) use(static_cast<std::size_t>(hw * s.c + c));
    }
  }
  static bool flat_output(const std::string& model) {
    return parse(model).graph().output(0).type().tensor_type().shape().dim_size() == 2;
  }

  static void expect_check_passes(const std::string& arguments, const std::string& how = "--exact") {
    const char* python = std::getenv("QNUDGE_PYTHON");
    if (python == nullptr) GTEST_SKIP() << "QNUDGE_PYTHON is unset: no interpreter with onnxruntime to ask";
    const std::string command =
        "'" + std::string(python) + "' '" QNUDGE_SOURCE_DIR "/tests/python/check_qdq.py' " + how;
    EXPECT_EQ(std::system((command + arguments).c_str()), 0) << command << arguments;
  }
};

IntNetwork sigmoid_network(int exponent) {
  IntNetworkOf net({16, 16, 1}, 2, exponent);
  return net.finish(net.sigmoid(0));
}

struct NamedFunction {
  std::string name;
  ScalarFunction function;
};

std::vector<NamedFunction> functions() {
  using F = ScalarFunction;
  using Op = F::Op;
  const F x;
  const auto c = [](double v) { return F::constant(v); };
  const auto of = [](Op op, const F& a, const F& b) { return F::of(op, a, b); };
  const F sigmoid = F::of(Op::sigmoid, x),
          softplus = F::of(Op::logarithm, of(Op::add, c(1), F::of(Op::exponential, x)));
  const F gelu = of(Op::multiply, of(Op::multiply, c(0.5), x),
                    of(Op::add, c(1), F::of(Op::error_function, of(Op::multiply, x, c(0.70710678)))));
  const F hard = of(Op::divide, of(Op::multiply, x, clip_function(0, 6).after(of(Op::add, x, c(3)))), c(6));
  return {{"silu", of(Op::multiply, x, sigmoid)},
          {"tanh", F::of(Op::hyperbolic_tangent, x)},
          {"gelu", gelu},
          {"hard_swish", hard},
          {"softplus", softplus},
          {"mish", of(Op::multiply, x, F::of(Op::hyperbolic_tangent, softplus))},
          {"elu", of(Op::subtract, F::of(Op::exponential, of(Op::minimum, x, c(0))), c(1))},
          {"root", F::of(Op::square_root, F::of(Op::absolute, x))},
          {"power", of(Op::power, F::of(Op::absolute, x), c(1.5))},
          {"log", F::of(Op::logarithm, x)},
          {"reciprocal", of(Op::divide, c(1), x)},
          {"square", of(Op::multiply, x, x)},
          {"negated", F::of(Op::negate, x)},
          {"floor", F::of(Op::floor, of(Op::multiply, x, c(0.75)))},
          {"ceil", F::of(Op::ceil, x)},
          {"round", F::of(Op::round, x)}};
}

/// All 256 codes through every function at several scales: the bytes of the table.
TEST_F(OnnxExport, OnnxRuntimeGivesEveryCodeOfEveryTable) {
  std::string arguments;
  int chains = 0, lookups = 0;
  for (const NamedFunction& item : functions()) {
    for (const auto& [from, to] : {std::pair{-4, -4}, {-5, -6}, {-3, -3}}) {
      IntNetworkOf net({16, 16, 1}, 2, from);
      const IntNetwork network = net.finish(net.table(0, item.function, to));
      const onnx::ModelProto model = parse(to_qdq_onnx(network));
      const auto gathers = [](const onnx::NodeProto& node) { return node.op_type() == "Gather"; };
      (std::ranges::any_of(model.graph().node(), gathers) ? lookups : chains) += 1;
      arguments += check_arguments({item.name + std::to_string(from), network}, 1, true);
    }
  }
  EXPECT_GT(chains, 10);
  EXPECT_GT(lookups, 3);
  expect_check_passes(arguments);
}

TEST_F(OnnxExport, OnnxRuntimeAgreesOnHandMadeNetworks) {
  std::string arguments;
  for (const Named& item : hand_made()) arguments += check_arguments(item, 20);
  expect_check_passes(arguments);
}

TEST_F(OnnxExport, OnnxRuntimeAgreesOnRandomNetworks) {
  std::string arguments;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    arguments += check_arguments({"random" + std::to_string(seed), random_network(seed, Activations::int8, false)}, 8);
  }
  expect_check_passes(arguments);
}

/// ONNX Runtime sums and normalises in float, which may end beside a tie.
TEST_F(OnnxExport, OnnxRuntimeIsNearOnNormalisationsAndProducts) {
  std::string arguments;
  for (const int rank : {1, 2}) {
    arguments += check_arguments({"attention" + std::to_string(rank), attention_network(rank)}, 400);
  }
  expect_check_passes(arguments, "--near");
}

/// Its weights are no multiples of 2^-11.
TEST_F(OnnxExport, OnnxRuntimeIsNearOnInterpolations) {
  std::string arguments;
  for (const int rank : {1, 2}) {
    const Named item{"resize" + std::to_string(rank), odd_resize_network(rank)};
    EXPECT_EQ(parse(to_qdq_onnx(item.network)).opset_import(0).version(), 19);
    arguments += check_arguments(item, 400);
  }
  expect_check_passes(arguments, "--near");
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
    if (auto* const add = std::get_if<IntCombine>(&node.what)) add->multiplier_a *= 2;
  }
  EXPECT_THROW(to_qdq_onnx(net), Error);
  net = residual_network();
  net.layers[1].params.multiplier[0] = std::ldexp(1.0f, -126);
  net.layers[1].params.multiplier[1] = 0;
  EXPECT_THROW(to_qdq_onnx(net), Error);
}

}  // namespace
}  // namespace qnudge::test
