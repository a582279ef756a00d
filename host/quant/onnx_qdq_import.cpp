// SPDX-License-Identifier: MIT
// Reads the dialect of onnx_export.cpp. Reading is lenient; that nothing was overlooked is proven by writing the
// network again, which must give the same model.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "onnx_geometry.hpp"
#include "onnx_layer.hpp"
#include "onnx_writer.hpp"
#include "qdq_primitives.hpp"
#include "qdq_reader.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/model/onnx_import.hpp"
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

/// A bound that belongs to the node before it; one without a text is a node of its own.
bool is_own_bound(const onnx::NodeProto& from) {
  return (from.op_type() == "Relu" || from.op_type() == "Clip") && !from.doc_string().empty();
}

}  // namespace

IntNetwork QdqReader::run() {
  const auto to_half = [](const onnx::NodeProto& from) {
    return from.op_type() == "Cast" && read_integer(from, "to", 0) == onnx::TensorProto::FLOAT16;
  };
  if (std::ranges::any_of(graph_.node(), to_half)) net_.activations = Activations::half;
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

void QdqReader::read_input() {
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

void QdqReader::append(IntNode added, const std::string& tensor) {
  check_shape(added.shape);
  const int i = static_cast<int>(net_.nodes.size());
  added.source = added.linear_source = i;
  net_.nodes.push_back(std::move(added));
  exponents_.push_back(kUnknown);
  values_[tensor] = {Value::real, i};
}

const std::string& QdqReader::input(const onnx::NodeProto& from, int i) const {
  require(i < from.input_size(), ErrorKind::input, "it has {} inputs; {} are needed", from.input_size(), i + 1);
  return from.input(i);
}

QdqReader::Value QdqReader::value(const std::string& tensor) const {
  const auto at = values_.find(tensor);
  require(at != values_.end(), ErrorKind::input, "it reads a tensor that no node before it writes");
  return at->second;
}

int QdqReader::reading(const onnx::NodeProto& from, int i) const {
  const Value read = value(input(from, i));
  require(read.kind == Value::reading, ErrorKind::input, "it reads a tensor that is not dequantised");
  return read.node;
}

const QdqReader::Constant& QdqReader::parameter(const onnx::NodeProto& from, int i) const {
  const auto at = parameters_.find(input(from, i));
  require(at != parameters_.end(), ErrorKind::input, "its input {} is not a dequantised initialiser", i);
  return at->second;
}

IntNode QdqReader::make(const onnx::NodeProto& from, IntPrimitive what, std::vector<int> inputs) const {
  IntNode made;
  made.what = std::move(what);
  made.name = from.name();
  made.inputs = std::move(inputs);
  made.shape = net_.at(made.inputs[0]).shape;
  return made;
}

void QdqReader::read_node(const onnx::NodeProto& from) {
  require(from.output_size() == 1, ErrorKind::input, "it has {} outputs; 1 is needed", from.output_size());
  const std::string& op = from.op_type();
  if (is_own_bound(from)) return read_own_bound(from);
  if (is_step(from.doc_string())) return read_step(from);
  if (op == "Unsqueeze" || (op == "Flatten" && !from.doc_string().empty())) return read_reshape(from);
  if (read_primitive(*this, from)) return;
  if (op == "QuantizeLinear") return quantise(from, constants_.exponent(input(from, 1)));
  if (op == "Cast") return read_cast(from);
  require(op == "DequantizeLinear", ErrorKind::input, "its operator is not one that qnudge writes");
  read_dequantise(from);
}

void QdqReader::read_cast(const onnx::NodeProto& from) {
  if (read_integer(from, "to", 0) == onnx::TensorProto::FLOAT) return read_dequantise(from);
  int exponent = 0;
  require(parse_units(from.doc_string(), exponent), ErrorKind::input, "it does not say its units");
  quantise(from, exponent);
}

void QdqReader::quantise(const onnx::NodeProto& from, int exponent) {
  const Value read = value(input(from, 0));
  require(read.kind != Value::codes, ErrorKind::input, "it quantises codes");
  int& known = exponents_[static_cast<std::size_t>(read.node)];
  require(known == kUnknown || known == exponent, ErrorKind::input,
          "it quantises to the scale 2^{} what was quantised to 2^{} before", exponent, known);
  known = exponent;
  values_[from.output(0)] = {Value::codes, read.node};
}

void QdqReader::read_dequantise(const onnx::NodeProto& from) {
  if (constants_.has(input(from, 0))) {
    parameters_[from.output(0)] = {from.input(0), input(from, 1)};
    return;
  }
  const Value read = value(from.input(0));
  require(read.kind == Value::codes, ErrorKind::input, "it dequantises a real tensor");
  values_[from.output(0)] = {Value::reading, read.node};
}

/// Flattening and the like that belongs to another node: the same node's codes in another shape.
void QdqReader::read_reshape(const onnx::NodeProto& from) {
  const Value read = value(input(from, 0));
  if (read.kind == Value::real && from.op_type() == "Flatten") {  // of the float output
    net_.flatten_output = true;
    values_[from.output(0)] = read;
  } else {
    values_[from.output(0)] = {Value::real, reading(from, 0)};
  }
}

/// Stands for the latest node that it reads anything of.
void QdqReader::read_step(const onnx::NodeProto& from) {
  const Value* latest = nullptr;
  for (const std::string& name : from.input()) {
    const auto at = values_.find(name);
    if (at != values_.end() && (latest == nullptr || at->second.node > latest->node)) latest = &at->second;
  }
  if (latest != nullptr) values_[from.output(0)] = Value(*latest);  // else it computes a constant
}

/// A code for a bound that must lie on the node's grid.
std::int8_t QdqReader::bound_code(const std::string& tensor, int exponent) const {
  const double code = std::ldexp(static_cast<double>(constants_.scalar(tensor)), -exponent);
  require(code >= -128 && code <= 127 && code == std::nearbyint(code), ErrorKind::input,
          "its bound is {} steps of 2^{}; a whole number from -128 to 127 is needed", code, exponent);
  return static_cast<std::int8_t>(code);
}

void QdqReader::Bounds::apply(IntNode& to) const {
  to.low = low;
  to.high = high;
  to.clip_low = clip_low;
  to.clip_high = clip_high;
}

QdqReader::Bounds QdqReader::read_bounds(const onnx::NodeProto& from) const {
  const Value read = value(input(from, 0));
  require(read.kind != Value::codes, ErrorKind::input, "it reads codes");
  if (net_.half()) return read_half_bounds(from);
  const int exponent = exponents_[static_cast<std::size_t>(read.node)];
  if (from.op_type() != "Clip") return {.low = 0};
  require(exponent != kUnknown, ErrorKind::input, "it clips a tensor that is not quantised");
  return {bound_code(input(from, 1), exponent), bound_code(input(from, 2), exponent)};
}

/// In real values, because the scale is said later.
QdqReader::Bounds QdqReader::read_half_bounds(const onnx::NodeProto& from) const {
  if (from.op_type() == "Relu") return {.low = 0};
  Bounds bounds;
  const auto limit = [&](int i, std::int8_t& code, double& clip) {
    if (input(from, i).empty()) return;
    clip = constants_.scalar(from.input(i));
    require(std::isfinite(clip), ErrorKind::input, "its bound is not finite");
    if (clip == 0.0) code = 0;
  };
  limit(1, bounds.low, bounds.clip_low);
  limit(2, bounds.high, bounds.clip_high);
  return bounds;
}

void QdqReader::read_own_bound(const onnx::NodeProto& from) {
  const Bounds bounds = read_bounds(from);
  const int of = value(from.input(0)).node;
  bounds.apply(node(of));
  values_[from.output(0)] = {Value::real, of};
}

void QdqReader::append(const onnx::NodeProto& from, IntNode added) {
  append(std::move(added), from.output(0));
}

void QdqReader::count_pool_work(std::int64_t work) {
  pool_work_ += work;
  require(pool_work_ <= kMaxPoolWork, ErrorKind::input, "the pooling windows up to it are too many and too large");
}

void QdqReader::read_output() {
  const Value out = value(net_.output_name);
  require(out.kind != Value::codes && (out.kind == Value::real) == (node(out.node).layer() >= 0), ErrorKind::input,
          "the output is neither the real result of a layer nor dequantised codes");
  net_.output = out.node;
  if (out.kind == Value::real) exponents_[static_cast<std::size_t>(out.node)] = 0;
}

void QdqReader::finish() {
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

IntNetwork import_qdq_onnx(const std::filesystem::path& path) {
  try {
    onnx::ModelProto model = parse(path);
    require(model.producer_name() == kProducer, ErrorKind::input,
            "another tool (producer {}) wrote it; what qnudge tunes is the float model that it was made from",
            nlohmann::json(model.producer_name()).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    const std::string bytes = model.SerializeAsString();
    const Ends ends = unwrap_ends(model);
    IntNetwork network = QdqReader(model.graph()).run();
    network.ends = ends;
    require(to_qdq_onnx(network) == bytes, ErrorKind::input, "it holds something that qnudge would not have written");
    return network;
  } catch (const Error& error) {
    fail(ErrorKind::input, "{}: cannot be read as a QDQ model written by 'qnudge tune': {}", path.string(),
         error.what());
  }
}

bool is_qdq_onnx(const std::filesystem::path& path) {
  return onnx_kind(path) != OnnxKind::plain;
}

}  // namespace qnudge
