// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "host/quant/onnx_geometry.hpp"
#include "host/quant/onnx_layer.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

/// Writes the layer of node `node`.
class LayerWriter {
 public:
  LayerWriter(QdqWriter& to, int node)
      : to_(to), net_(to.network()), out_(to.out()), i_(node), layer_(net_.layer(net_.at(node).layer())) {}

  void write();

 private:
  const IntNode& node() const { return net_.at(i_); }
  const IntNode& input() const { return net_.at(node().inputs[0]); }
  void check() const;
  std::vector<float> weight_scales() const;
  template <class T>
  std::string dequantise(const std::string& name, const OnnxWriter::Dims& dims, std::span<const T> values,
                         std::span<const float> scales, int axis);
  std::string write_weights(const std::vector<float>& scales);
  std::string write_half_weights();
  std::string write_bias(std::vector<float> scales);
  void write_geometry(onnx::NodeProto& to) const;
  void write_float_output();

  QdqWriter& to_;
  const IntNetwork& net_;
  OnnxWriter& out_;
  const int i_;
  const Layer& layer_;
};

void LayerWriter::write() {
  check();
  to_.set_flat(i_, layer_.gemm);
  const std::string x = to_.read(node().inputs[0], i_, layer_.gemm);
  const std::vector<float> scales = weight_scales();
  const bool uniform = std::ranges::all_of(scales, [&](float scale) { return scale == scales[0]; });
  const bool grouped_axis = layer_.conv.transposed && layer_.conv.groups > 1 && !uniform;
  const bool unit = layer_.params.bits == kHalfBits ||
                    (to_.for_onnxruntime() ? needs_unit_form(layer_, to_.is_float_output(i_)) : grouped_axis);
  const std::vector<float> written = unit ? std::vector{1.0f} : uniform ? std::vector{scales[0]} : scales;
  const std::string w = write_weights(written), b = write_bias(written);
  write_geometry(out_.reserved_node(layer_.gemm              ? "Gemm"
                                    : layer_.conv.transposed ? "ConvTranspose"
                                                             : "Conv",
                                    node().name, {x, w, b}));
  if (unit) {
    OnnxWriter::Dims dims = to_.axes(1, 1);
    dims.insert(dims.begin(), static_cast<std::int64_t>(scales.size()));
    const std::string factors = out_.constant<float>(node().name + "/scale", dims, scales);
    out_.node("Mul", node().name + "/mul", {out_.result(), factors}).set_doc_string(part_of(node().name));
  }
  if (to_.is_float_output(i_)) return write_float_output();
  to_.publish(i_, out_.result(), QdqWriter::Result::bounded);
}

void LayerWriter::write_float_output() {
  if (node().low == 0) {
    out_.node("Relu", node().name + "/bound", {out_.result()}).set_doc_string(part_of(node().name));
  }
  if (net_.flatten_output) {
    onnx::NodeProto& flatten = out_.node("Flatten", node().name + "/flatten", {out_.result()});
    flatten.set_doc_string(part_of(node().name));
    set_attribute(flatten, "axis", 1);
    to_.set_flat(i_, true);
  }
  to_.name_output(i_);
}

void LayerWriter::check() const {
  const auto k = static_cast<std::size_t>(layer_.filter.k);
  const LayerParams& p = layer_.params;
  const std::size_t weights = p.bits == kHalfBits ? layer_.weights.size() : p.codes.size();
  require(static_cast<std::int64_t>(weights) == layer_.filter.size() && p.bias.size() == k &&
              p.multiplier.size() == k && k > 0 && (p.bits != kHalfBits || net_.half()),
          ErrorKind::internal, "layer '{}': its codes, biases and multipliers do not fit its filter", layer_.name);
  require(!to_.is_float_output(i_) || to_.readers(i_) == 0, ErrorKind::internal,
          "layer '{}': is the float output and is read by other nodes", layer_.name);
  require(!layer_.gemm || (layer_.filter.r == layer_.in.h && layer_.filter.s == layer_.in.w), ErrorKind::internal,
          "layer '{}': a matrix product must cover its whole input", layer_.name);
}

/// multiplier * s_out / s_x: exact, since both activation scales are powers of two.
std::vector<float> LayerWriter::weight_scales() const {
  const int in = input().exponent, out = to_.is_float_output(i_) ? 0 : node().exponent;
  std::vector<float> scales;
  for (const float multiplier : layer_.params.multiplier) {
    scales.push_back(std::ldexp(multiplier, out - in));
    require(std::isnormal(scales.back()) && scales.back() > 0 && std::isnormal(std::ldexp(multiplier, out)),
            ErrorKind::input, "layer '{}': channel {} has the weight scale {} * 2^{}, which float32 cannot hold",
            layer_.name, scales.size() - 1, multiplier, out - in);
  }
  return scales;
}

/// Scales are scalar where one value serves all channels, else one entry per channel.
template <class T>
std::string LayerWriter::dequantise(const std::string& name, const OnnxWriter::Dims& dims, std::span<const T> values,
                                    std::span<const float> scales, int axis) {
  const bool one = scales.size() == 1;
  const OnnxWriter::Dims per_channel{static_cast<std::int64_t>(scales.size())};
  const OnnxWriter::Dims scale_dims = one ? OnnxWriter::Dims{} : per_channel;
  const std::string codes = out_.constant<T>(name, dims, values);
  const std::string scale = out_.constant<float>(name + "_scale", scale_dims, scales);
  // Of its own: with session.x64quantprecision ONNX Runtime 1.31 replaces a shared one twice, and fails.
  const std::string zero = out_.constant<T>(name + "_zero", scale_dims, std::vector<T>(scales.size()));
  onnx::NodeProto& node = out_.node("DequantizeLinear", name + "/dq", {codes, scale, zero});
  if (!one) set_attribute(node, "axis", axis);
  return out_.result();
}

std::string LayerWriter::write_weights(const std::vector<float>& scales) {
  if (layer_.params.bits == kHalfBits) return write_half_weights();
  std::vector<std::int8_t> codes(layer_.params.codes.size());
  for_each_weight(layer_, [&](std::size_t to, std::size_t from) { codes[to] = layer_.params.codes[from]; });
  return dequantise<std::int8_t>(node().name + "/weight", onnx_weight_dims(layer_, net_.spatial_rank), codes, scales,
                                 layer_.conv.transposed ? 1 : 0);
}

/// In units of the scales that follow the layer_.
std::string LayerWriter::write_half_weights() {
  const std::vector<Half> filter = half_filter(layer_, layer_.params);
  std::vector<float> values(filter.size());
  for_each_weight(layer_, [&](std::size_t to, std::size_t from) { values[to] = to_float(filter[from]); });
  return out_.constant<float>(node().name + "/weight", onnx_weight_dims(layer_, net_.spatial_rank), values);
}

/// int32 on the accumulator's grid; as plain floats for TensorRT.
std::string LayerWriter::write_bias(std::vector<float> scales) {
  for (float& scale : scales) scale = std::ldexp(scale, input().exponent);
  const std::string name = node().name + "/bias";
  const OnnxWriter::Dims dims{layer_.filter.k};
  if (to_.for_onnxruntime()) return dequantise<std::int32_t>(name, dims, layer_.params.bias, scales, 0);
  std::vector<float> bias;
  for (std::size_t k = 0; k < layer_.params.bias.size(); ++k) {
    bias.push_back(static_cast<float>(layer_.params.bias[k]) * scales[scales.size() == 1 ? 0 : k]);
  }
  return out_.constant<float>(name, dims, bias);
}

void LayerWriter::write_geometry(onnx::NodeProto& to) const {
  to.set_doc_string(describe_grid(layer_));
  if (layer_.gemm) return set_attribute(to, "transB", 1);
  const ConvGeometry& g = layer_.conv;
  Window w = g.window;
  set_attribute(to, "dilations", to_.axes(w.dilation_h, w.dilation_w));
  set_attribute(to, "group", g.groups);
  if (!g.transposed) return to_.write_window(to, w);
  const std::int64_t reach_h = w.dilation_h * (w.r - 1), reach_w = w.dilation_w * (w.s - 1);
  const std::int64_t bottom = reach_h - w.pad_bottom, right = reach_w - w.pad_right;
  require(w.pad_top <= reach_h && w.pad_left <= reach_w, ErrorKind::internal,
          "layer '{}': a transposed convolution with negative padding", layer_.name);
  const auto padding = [](std::int64_t v) { return std::max<std::int64_t>(v, 0); };
  w.pad_top = reach_h - w.pad_top;
  w.pad_left = reach_w - w.pad_left;
  w.pad_bottom = padding(bottom);
  w.pad_right = padding(right);
  w.stride_h = g.spread_h;
  w.stride_w = g.spread_w;
  to_.write_window(to, w);
  if (bottom < 0 || right < 0) set_attribute(to, "output_padding", to_.axes(padding(-bottom), padding(-right)));
}

std::vector<float> per_channel(std::vector<float> scales, std::size_t channels) {
  if (scales.size() == 1) scales.assign(channels, scales[0]);
  require(scales.size() == channels, ErrorKind::input, "it has {} scales for {} channels", scales.size(), channels);
  return scales;
}

/// Weights in units of the scales that follow.
void read_half_params(QdqReader& reader, const QdqReader::Constant& weight, const QdqReader::Constant& bias,
                      Layer& layer) {
  require(reader.network().half(), ErrorKind::input, "its weights are halves between 8-bit activations");
  const auto values = reader.constants().take<float>(weight.tensor);
  require(std::ranges::all_of(values, [](float v) { return std::abs(v) <= kLargestHalf; }), ErrorKind::input,
          "its weights are no halves");
  layer.weights.resize(values.size());
  for_each_weight(layer, [&](std::size_t from, std::size_t to) { layer.weights[to] = values[from]; });
  LayerParams& p = layer.params;
  p.bias = reader.constants().take<std::int32_t>(bias.tensor);
  const auto channels = static_cast<std::size_t>(layer.filter.k);
  require(p.bias.size() == channels, ErrorKind::input, "it has {} biases for {} channels", p.bias.size(), channels);
  p.scale.assign(channels, 1.0f);
  const auto taps = static_cast<std::ptrdiff_t>(layer.filter.taps());
  for (auto at = layer.weights.begin(); at != layer.weights.end(); at += taps) {
    p.frozen.push_back(std::all_of(at, at + taps, [](float w) { return w == 0.0f; }) ? 1 : 0);
  }
}

void read_params(QdqReader& reader, const QdqReader::Constant& weight, const QdqReader::Constant& bias, Layer& layer) {
  const auto channels = static_cast<std::size_t>(layer.filter.k);
  LayerParams& p = layer.params;
  if (p.bits == kHalfBits) return read_half_params(reader, weight, bias, layer);
  const auto codes = reader.constants().take<std::int8_t>(weight.tensor);
  p.codes.resize(codes.size());
  for_each_weight(layer, [&](std::size_t from, std::size_t to) { p.codes[to] = codes[from]; });
  p.bias = reader.constants().take<std::int32_t>(bias.tensor);
  require(p.bias.size() == channels, ErrorKind::input, "it has {} biases for {} channels", p.bias.size(), channels);
  p.scale = per_channel(reader.constants().take<float>(weight.scale), channels);
  const int limit = 1 << (p.bits - 1);
  require(std::ranges::all_of(p.codes, [&](int code) { return code >= -limit && code < limit; }), ErrorKind::input,
          "its codes leave the range of {} bits", p.bits);
  const auto taps = static_cast<std::ptrdiff_t>(layer.filter.taps());
  for (auto at = p.codes.begin(); at != p.codes.end(); at += taps) {
    p.frozen.push_back(std::all_of(at, at + taps, [](std::int8_t code) { return code == 0; }) ? 1 : 0);
  }
}

void read_layer(QdqReader& reader, const onnx::NodeProto& from) {
  Layer layer;
  layer.name = from.name();
  layer.gemm = from.op_type() == "Gemm";
  layer.conv.transposed = from.op_type() == "ConvTranspose";
  require(parse_grid(from.doc_string(), layer), ErrorKind::input, "it does not say how many bits its codes have");
  IntNode added = reader.make(from, {}, {reader.reading(from, 0)});
  layer.in = added.shape;
  const bool half = layer.params.bits == kHalfBits;
  const auto weight = half ? QdqReader::Constant{reader.input(from, 1), {}} : reader.parameter(from, 1);
  const auto bias = reader.parameter(from, 2);
  read_geometry(from, reader.constants().dims(weight.tensor), reader.rank(), layer);
  added.shape = layer.out;
  check_shape(added.shape);
  read_params(reader, weight, bias, layer);
  IntNetwork& network = reader.network();
  added.what = IntLayer{static_cast<int>(network.layers.size())};
  layer.node = static_cast<int>(network.nodes.size());
  network.layers.push_back(std::move(layer));
  reader.append(from, std::move(added));
}

/// Whether it multiplies a layer's result before quantisation by constants.
bool holds_scales(const QdqReader& reader, const onnx::NodeProto& from) {
  if (from.op_type() != "Mul" || from.input_size() == 0 || !reader.has_value(from.input(0))) return false;
  return reader.value(from.input(0)).kind == QdqReader::Value::real;
}

/// The scales of a layer that is written in units of its accumulator.
void read_scales(QdqReader& reader, const onnx::NodeProto& from) {
  const auto read = reader.value(reader.input(from, 0));
  const int of = read.kind == QdqReader::Value::real ? reader.node(read.node).layer() : -1;
  require(of >= 0, ErrorKind::input, "it multiplies something else than the result of a layer");
  LayerParams& params = reader.network().layer(of).params;
  params.scale = per_channel(reader.constants().take<float>(reader.input(from, 1)), params.bias.size());
  reader.set_value(from.output(0), read);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  const std::string& op = from.op_type();
  if (holds_scales(reader, from)) {
    read_scales(reader, from);
  } else if (op == "Conv" || op == "ConvTranspose" || op == "Gemm") {
    read_layer(reader, from);
  } else {
    return false;
  }
  return true;
}

}  // namespace

const QdqFacet qdq_facets::layer = {.write = [](QdqWriter& to, int node) { LayerWriter(to, node).write(); },
                                    .read = read};

}  // namespace qnudge
