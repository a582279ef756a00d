// SPDX-License-Identifier: MIT
// Reads the dialect of onnx_export.cpp. Reading is lenient; that nothing was overlooked is proven by writing the
// network again, which must give the same model.
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "onnx_geometry.hpp"
#include "onnx_layer.hpp"
#include "onnx_reader.hpp"
#include "onnx_writer.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/quant/onnx_export.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kMaxPoolWork = 1 << 26;  // window rows and columns over all positions

onnx::ModelProto parse(const std::filesystem::path& path) {
  const std::vector<std::uint8_t> bytes = read_file(path);
  onnx::ModelProto model;
  require(bytes.size() < (std::size_t{1} << 31) && model.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())),
          ErrorKind::input, "is not a complete ONNX model");
  return model;
}

class QdqImporter {
 public:
  explicit QdqImporter(const onnx::GraphProto& graph) : graph_(graph), constants_(graph) {}

  IntNetwork run() {
    const auto is_cast = [](const onnx::NodeProto& from) { return from.op_type() == "Cast"; };
    if (std::ranges::any_of(graph_.node(), is_cast)) net_.activations = Activations::half;
    read_input();
    for (int i = 0; i < graph_.node_size(); ++i) {
      try {
        read_node(graph_.node(i));
      } catch (const Error& error) {
        fail(ErrorKind::input, "node {} of the graph: {}", i, error.what());
      }
    }
    read_output();
    finish();
    return std::move(net_);
  }

 private:
  /// What a tensor means: the real value of a node before quantisation, its codes, or the codes dequantised.
  struct Value {
    enum Kind { real, codes, reading } kind;
    int node;
  };
  struct Constant {
    std::string tensor, scale;
  };

  IntNode& node(int i) { return net_.nodes[static_cast<std::size_t>(i)]; }
  std::size_t rank() const { return static_cast<std::size_t>(net_.spatial_rank); }

  void read_input() {
    require(graph_.input_size() == 1 && graph_.output_size() == 1, ErrorKind::input,
            "{} inputs and {} outputs; one of each is needed", graph_.input_size(), graph_.output_size());
    const onnx::TensorShapeProto& shape = graph_.input(0).type().tensor_type().shape();
    require(shape.dim_size() == 3 || shape.dim_size() == 4, ErrorKind::input, "the input has rank {}; 3 or 4 is needed",
            shape.dim_size());
    net_.spatial_rank = shape.dim_size() - 2;
    net_.input_name = graph_.input(0).name();
    net_.output_name = graph_.output(0).name();
    IntNode input;
    input.name = net_.input_name;
    input.shape = {shape.dim(2).dim_value(), rank() == 2 ? shape.dim(3).dim_value() : 1, shape.dim(1).dim_value()};
    append(std::move(input), net_.input_name);
  }

  void append(IntNode added, const std::string& tensor) {
    check_shape(added.shape);
    const int i = static_cast<int>(net_.nodes.size());
    added.source = added.linear_source = i;
    net_.nodes.push_back(std::move(added));
    exponents_.push_back(kUnknown);
    values_[tensor] = {Value::real, i};
  }

  const std::string& input(const onnx::NodeProto& from, int i) const {
    require(i < from.input_size(), ErrorKind::input, "it has {} inputs; {} are needed", from.input_size(), i + 1);
    return from.input(i);
  }

  Value value(const std::string& tensor) const {
    const auto at = values_.find(tensor);
    require(at != values_.end(), ErrorKind::input, "it reads a tensor that no node before it writes");
    return at->second;
  }
  int reading(const onnx::NodeProto& from, int i) const {
    const Value read = value(input(from, i));
    require(read.kind == Value::reading, ErrorKind::input, "it reads a tensor that is not dequantised");
    return read.node;
  }

  void read_node(const onnx::NodeProto& from) {
    require(from.output_size() == 1, ErrorKind::input, "it has {} outputs; 1 is needed", from.output_size());
    const std::string& op = from.op_type();
    if (op == "QuantizeLinear") return read_quantise(from);
    if (op == "Cast") return read_cast(from);
    if (op == "DequantizeLinear") return read_dequantise(from);
    if (op == "Conv" || op == "ConvTranspose" || op == "Gemm") return read_layer(from);
    if (op == "Mul") return read_scales(from);
    if (op == "Relu" || op == "Clip") return read_bound(from);
    if (op == "Unsqueeze" || (op == "Flatten" && !from.doc_string().empty())) return read_reshape(from);
    if (op == "MaxPool" || op == "AveragePool" || op == "GlobalAveragePool") return read_pool(from);
    if (op == "Sigmoid") return read_unary(from, IntOp::lookup);
    if (op == "Flatten") return read_unary(from, IntOp::view);
    if (op == "Add" || op == "Concat") return read_merge(from);
    fail(ErrorKind::input, "its operator is not one that qnudge writes");
  }

  void read_quantise(const onnx::NodeProto& from) { quantise(from, constants_.exponent(input(from, 1))); }

  void read_cast(const onnx::NodeProto& from) {
    if (read_integer(from, "to", 0) == onnx::TensorProto::FLOAT) return read_dequantise(from);
    int exponent = 0;
    require(parse_units(from.doc_string(), exponent), ErrorKind::input, "it does not say its units");
    quantise(from, exponent);
  }

  void quantise(const onnx::NodeProto& from, int exponent) {
    const Value read = value(input(from, 0));
    require(read.kind != Value::codes, ErrorKind::input, "it quantises codes");
    int& known = exponents_[static_cast<std::size_t>(read.node)];
    require(known == kUnknown || known == exponent, ErrorKind::input,
            "it quantises to the scale 2^{} what was quantised to 2^{} before", exponent, known);
    known = exponent;
    values_[from.output(0)] = {Value::codes, read.node};
  }

  void read_dequantise(const onnx::NodeProto& from) {
    if (constants_.has(input(from, 0))) {
      parameters_[from.output(0)] = {from.input(0), input(from, 1)};
      return;
    }
    const Value read = value(from.input(0));
    require(read.kind == Value::codes, ErrorKind::input, "it dequantises a real tensor");
    values_[from.output(0)] = {Value::reading, read.node};
  }

  /// Flattening and the like that belongs to another node: the same node's codes in another shape.
  void read_reshape(const onnx::NodeProto& from) {
    const Value read = value(input(from, 0));
    if (read.kind == Value::real && from.op_type() == "Flatten") {  // of the float output
      net_.flatten_output = true;
      values_[from.output(0)] = read;
    } else {
      values_[from.output(0)] = {Value::real, reading(from, 0)};
    }
  }

  void read_unary(const onnx::NodeProto& from, IntOp op) {
    IntNode added;
    added.op = op;
    added.name = from.name();
    added.inputs = {reading(from, 0)};
    added.shape = node(added.inputs[0]).shape;
    append(std::move(added), from.output(0));
  }

  void read_merge(const onnx::NodeProto& from) {
    IntNode added;
    added.op = from.op_type() == "Add" ? IntOp::add : IntOp::concat;
    added.name = from.name();
    for (int i = 0; i < from.input_size(); ++i) added.inputs.push_back(reading(from, i));
    require(added.op == IntOp::add ? added.inputs.size() == 2 : !added.inputs.empty(), ErrorKind::input,
            "it has {} inputs", added.inputs.size());
    added.shape = node(added.inputs[0]).shape;
    if (added.op == IntOp::concat) added.shape.c = 0;
    for (const int in : added.inputs) {
      const Shape& shape = node(in).shape;
      const bool fits =
          added.op == IntOp::add ? shape == added.shape : shape.h == added.shape.h && shape.w == added.shape.w;
      require(fits, ErrorKind::input, "the shapes of its inputs do not fit");
      if (added.op == IntOp::concat) added.shape.c += shape.c;
      check_shape(added.shape.c == 0 ? shape : added.shape);
    }
    append(std::move(added), from.output(0));
  }

  /// A code for a bound that must lie on the node's grid.
  std::int8_t bound_code(const std::string& tensor, int exponent) const {
    const double code = std::ldexp(static_cast<double>(constants_.scalar(tensor)), -exponent);
    require(code >= -128 && code <= 127 && code == std::nearbyint(code), ErrorKind::input,
            "its bound is {} steps of 2^{}; a whole number from -128 to 127 is needed", code, exponent);
    return static_cast<std::int8_t>(code);
  }

  /// The node whose bound this is: one of its own, or the one that it is a part of.
  IntNode& bounded_node(const onnx::NodeProto& from, const Value& read) {
    if (from.doc_string().empty()) {
      read_unary(from, IntOp::clamp);
      return net_.nodes.back();
    }
    values_[from.output(0)] = {Value::real, read.node};
    return node(read.node);
  }

  void read_bound(const onnx::NodeProto& from) {
    const Value read = value(input(from, 0));
    require(read.kind != Value::codes, ErrorKind::input, "it reads codes");
    if (net_.half()) return read_half_bound(from, read);
    const int exponent = exponents_[static_cast<std::size_t>(read.node)];
    std::int8_t low = 0, high = 127;
    if (from.op_type() == "Clip") {
      require(exponent != kUnknown, ErrorKind::input, "it clips a tensor that is not quantised");
      low = bound_code(input(from, 1), exponent);
      high = bound_code(input(from, 2), exponent);
    }
    IntNode& bounded = bounded_node(from, read);
    bounded.low = low;
    bounded.high = high;
  }

  /// In real values, because the scale is said later.
  void read_half_bound(const onnx::NodeProto& from, const Value& read) {
    IntNode& to = bounded_node(from, read);
    if (from.op_type() == "Relu") {
      to.low = 0;
      return;
    }
    const auto limit = [&](int i, std::int8_t& code, double& clip) {
      if (input(from, i).empty()) return;
      clip = constants_.scalar(from.input(i));
      require(std::isfinite(clip), ErrorKind::input, "its bound is not finite");
      if (clip == 0.0) code = 0;
    };
    limit(1, to.low, to.clip_low);
    limit(2, to.high, to.clip_high);
  }

  void read_pool(const onnx::NodeProto& from) {
    IntNode added;
    added.op = from.op_type() == "MaxPool" ? IntOp::max_pool : IntOp::average_pool;
    added.name = from.name();
    added.inputs = {reading(from, 0)};
    const Shape in = node(added.inputs[0]).shape;
    if (from.op_type() == "GlobalAveragePool") {
      added.pool.r = in.h;
      added.pool.s = in.w;
    } else {
      const auto kernel = read_integers(from, "kernel_shape", rank(), 1);
      added.pool =
          read_window(from, rank(), std::max<std::int64_t>(1, kernel[0]), std::max<std::int64_t>(1, kernel.back()));
    }
    added.count_include_pad = read_integer(from, "count_include_pad", 0) != 0;
    added.shape = slide(in, added.pool, in.c);
    check_shape(added.shape);
    pool_work_ += added.shape.h * added.shape.w * (added.pool.r + added.pool.s);
    require(pool_work_ <= kMaxPoolWork, ErrorKind::input, "the pooling windows up to it are too many and too large");
    append(std::move(added), from.output(0));
  }

  const Constant& parameter(const onnx::NodeProto& from, int i) const {
    const auto at = parameters_.find(input(from, i));
    require(at != parameters_.end(), ErrorKind::input, "its input {} is not a dequantised initialiser", i);
    return at->second;
  }

  void read_layer(const onnx::NodeProto& from) {
    Layer layer;
    layer.name = from.name();
    layer.gemm = from.op_type() == "Gemm";
    layer.conv.transposed = from.op_type() == "ConvTranspose";
    require(parse_grid(from.doc_string(), layer), ErrorKind::input, "it does not say how many bits its codes have");
    IntNode added;
    added.op = IntOp::conv;
    added.name = from.name();
    added.inputs = {reading(from, 0)};
    layer.in = node(added.inputs[0]).shape;
    const bool half = layer.params.bits == kHalfBits;
    const Constant weight = half ? Constant{input(from, 1), {}} : parameter(from, 1), bias = parameter(from, 2);
    read_geometry(from, constants_.dims(weight.tensor), rank(), layer);
    added.shape = layer.out;
    check_shape(added.shape);
    read_params(weight, bias, layer);
    added.layer = static_cast<int>(net_.layers.size());
    layer.node = static_cast<int>(net_.nodes.size());
    net_.layers.push_back(std::move(layer));
    append(std::move(added), from.output(0));
  }

  void read_params(const Constant& weight, const Constant& bias, Layer& layer) {
    const auto channels = static_cast<std::size_t>(layer.filter.k);
    LayerParams& p = layer.params;
    if (p.bits == kHalfBits) return read_half_params(weight, bias, layer);
    const auto codes = constants_.take<std::int8_t>(weight.tensor);
    p.codes.resize(codes.size());
    for_each_weight(layer, [&](std::size_t from, std::size_t to) { p.codes[to] = codes[from]; });
    p.bias = constants_.take<std::int32_t>(bias.tensor);
    require(p.bias.size() == channels, ErrorKind::input, "it has {} biases for {} channels", p.bias.size(), channels);
    p.scale = per_channel(constants_.take<float>(weight.scale), channels);
    const int limit = 1 << (p.bits - 1);
    require(std::ranges::all_of(p.codes, [&](int code) { return code >= -limit && code < limit; }), ErrorKind::input,
            "its codes leave the range of {} bits", p.bits);
    const auto taps = static_cast<std::ptrdiff_t>(layer.filter.taps());
    for (auto at = p.codes.begin(); at != p.codes.end(); at += taps) {
      p.frozen.push_back(std::all_of(at, at + taps, [](std::int8_t code) { return code == 0; }) ? 1 : 0);
    }
  }

  /// Weights in units of the scales that follow.
  void read_half_params(const Constant& weight, const Constant& bias, Layer& layer) {
    require(net_.half(), ErrorKind::input, "its weights are halves between 8-bit activations");
    const auto values = constants_.take<float>(weight.tensor);
    require(std::ranges::all_of(values, [](float v) { return std::abs(v) <= kLargestHalf; }), ErrorKind::input,
            "its weights are no halves");
    layer.weights.resize(values.size());
    for_each_weight(layer, [&](std::size_t from, std::size_t to) { layer.weights[to] = values[from]; });
    LayerParams& p = layer.params;
    p.bias = constants_.take<std::int32_t>(bias.tensor);
    const auto channels = static_cast<std::size_t>(layer.filter.k);
    require(p.bias.size() == channels, ErrorKind::input, "it has {} biases for {} channels", p.bias.size(), channels);
    p.scale.assign(channels, 1.0f);
    const auto taps = static_cast<std::ptrdiff_t>(layer.filter.taps());
    for (auto at = layer.weights.begin(); at != layer.weights.end(); at += taps) {
      p.frozen.push_back(std::all_of(at, at + taps, [](float w) { return w == 0.0f; }) ? 1 : 0);
    }
  }

  static std::vector<float> per_channel(std::vector<float> scales, std::size_t channels) {
    if (scales.size() == 1) scales.assign(channels, scales[0]);
    require(scales.size() == channels, ErrorKind::input, "it has {} scales for {} channels", scales.size(), channels);
    return scales;
  }

  /// The scales of a layer that is written in units of its accumulator.
  void read_scales(const onnx::NodeProto& from) {
    const Value read = value(input(from, 0));
    require(read.kind == Value::real && node(read.node).op == IntOp::conv, ErrorKind::input,
            "it multiplies something else than the result of a layer");
    Layer& layer = net_.layer(node(read.node).layer);
    layer.params.scale = per_channel(constants_.take<float>(input(from, 1)), layer.params.bias.size());
    values_[from.output(0)] = read;
  }

  void read_output() {
    const Value out = value(net_.output_name);
    require(out.kind != Value::codes && (out.kind == Value::real) == (node(out.node).op == IntOp::conv),
            ErrorKind::input, "the output is neither the real result of a layer nor dequantised codes");
    net_.output = out.node;
    if (out.kind == Value::real) exponents_[static_cast<std::size_t>(out.node)] = 0;
  }

  void finish() {
    for (std::size_t i = 0; i < net_.nodes.size(); ++i) {
      IntNode& n = net_.nodes[i];
      require(exponents_[i] != kUnknown, ErrorKind::input, "the result of a node is never quantised");
      const auto real = [&](int code) { return std::ldexp(static_cast<double>(code), exponents_[i]); };
      if (!net_.half() && n.low != -128 && n.low != 0) n.clip_low = real(n.low);
      if (!net_.half() && n.high != 127 && n.high != 0) n.clip_high = real(n.high);
    }
    set_exponents(net_, exponents_);
    for (Layer& layer : net_.layers) {
      const int in = net_.at(net_.at(layer.node).inputs[0]).exponent, out = net_.at(layer.node).exponent;
      layer.gain.assign(layer.params.bias.size(), 1.0);
      for (std::size_t k = 0; k < layer.gain.size(); ++k) {
        const float scale = layer.params.scale[k];
        layer.params.multiplier.push_back(std::ldexp(scale, in - out));
        layer.shift.push_back(std::ldexp(static_cast<double>(scale) * layer.params.bias[k], in));
      }
      const auto taps = static_cast<std::size_t>(layer.filter.taps());
      for (std::size_t i = 0; i < layer.weights.size(); ++i) layer.weights[i] *= layer.params.scale[i / taps];
    }
  }

  static constexpr int kUnknown = 1 << 16;

  const onnx::GraphProto& graph_;
  OnnxConstants constants_;
  IntNetwork net_;
  std::vector<int> exponents_;                  ///< [nodes]
  std::map<std::string, Value> values_;         ///< activations by tensor name
  std::map<std::string, Constant> parameters_;  ///< dequantised initialisers by tensor name
  std::int64_t pool_work_ = 0;
};

}  // namespace

IntNetwork import_qdq_onnx(const std::filesystem::path& path) {
  try {
    const onnx::ModelProto model = parse(path);
    require(model.producer_name() == kProducer, ErrorKind::input,
            "another tool (producer {}) wrote it; what qnudge tunes is the float model that it was made from",
            nlohmann::json(model.producer_name()).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    IntNetwork network = QdqImporter(model.graph()).run();
    require(to_qdq_onnx(network) == model.SerializeAsString(), ErrorKind::input,
            "it holds something that qnudge would not have written");
    return network;
  } catch (const Error& error) {
    fail(ErrorKind::input, "{}: cannot be read as a QDQ model written by 'qnudge tune': {}", path.string(),
         error.what());
  }
}

bool is_qdq_onnx(const std::filesystem::path& path) {
  try {
    const onnx::ModelProto model = parse(path);
    return std::ranges::any_of(model.graph().node(),
                               [](const onnx::NodeProto& node) { return node.op_type() == "DequantizeLinear"; });
  } catch (const Error&) {
    return false;
  }
}

}  // namespace qnudge
