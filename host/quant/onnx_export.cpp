// SPDX-License-Identifier: MIT
#include "qnudge/quant/onnx_export.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "onnx_layer.hpp"
#include "onnx_writer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

constexpr int kOpset = 13, kOpsetOfDilatedAverage = 19;

int opset_for(const IntNetwork& network) {
  const auto dilated = [](const IntNode& node) {
    return node.op == IntOp::average_pool && (node.pool.dilation_h != 1 || node.pool.dilation_w != 1);
  };
  return std::ranges::any_of(network.nodes, dilated) ? kOpsetOfDilatedAverage : kOpset;
}

/// ONNX states exponents and bounds; whatever else the network holds must follow from them.
void check_derived(const IntNetwork& network) {
  IntNetwork derived;
  derived.nodes = network.nodes;
  derived.output = network.output;
  derived.activations = network.activations;
  std::vector<int> exponents;
  for (const IntNode& node : network.nodes) exponents.push_back(node.exponent);
  set_exponents(derived, exponents);
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const IntNode &is = network.nodes[i], &should = derived.nodes[i];
    require(is.low == should.low && is.high == should.high && is.multiplier_a == should.multiplier_a &&
                is.multiplier_b == should.multiplier_b && is.multiplier == should.multiplier &&
                is.table == should.table && is.half_table == should.half_table,
            ErrorKind::internal, "node '{}': its bounds, multipliers or table do not follow from the exponents",
            is.name);
  }
}

class Exporter {
 public:
  Exporter(const IntNetwork& network, ExportTarget target)
      : net_(network),
        target_(target),
        out_(opset_for(network)),
        readers_(network.nodes.size()),
        readings_(network.nodes.size()),
        flat_(network.nodes.size()) {}

  std::string run() {
    check_derived(net_);
    out_.reserve_tensor(net_.input_name);
    out_.reserve_tensor(net_.output_name);
    for (const IntNode& node : net_.nodes) {
      out_.reserve_node(node.name);
      for (const int in : node.inputs) ++readers_[static_cast<std::size_t>(in)];
    }
    if (!net_.float_output()) ++readers_[static_cast<std::size_t>(net_.output)];
    for (int i = 0; i < static_cast<int>(net_.nodes.size()); ++i) write(i);
    out_.output(net_.output_name, dims_of(net_.output));
    return out_.bytes();
  }

 private:
  bool for_onnxruntime() const { return target_ == ExportTarget::onnxruntime; }
  /// For ONNX Runtime's integer kernels, which half activations have no use for.
  bool for_integers() const { return for_onnxruntime() && !net_.half(); }
  bool is_float_output(int i) const { return i == net_.output && net_.float_output(); }
  std::size_t readers(int i) const { return readers_[static_cast<std::size_t>(i)]; }
  bool flat(int i) const { return flat_[static_cast<std::size_t>(i)]; }

  /// One entry per window axis: height and width, or length alone.
  OnnxWriter::Dims axes(std::int64_t h, std::int64_t w) const {
    return net_.spatial_rank == 1 ? OnnxWriter::Dims{h} : OnnxWriter::Dims{h, w};
  }

  OnnxWriter::Dims dims_of(int i) const {
    const Shape& shape = net_.at(i).shape;
    if (flat(i)) return {shape.size()};
    OnnxWriter::Dims dims = axes(shape.h, shape.w);
    dims.insert(dims.begin(), shape.c);
    return dims;
  }

  /// To half and back. The scale is only said: it moves no rounding short of half's largest and smallest numbers.
  std::string through_half(const std::string& owner, int exponent, const std::string& value) {
    onnx::NodeProto& narrow = out_.node("Cast", owner + "/half", {value});
    narrow.set_doc_string(describe_units(exponent));
    set_attribute(narrow, "to", onnx::TensorProto::FLOAT16);
    set_attribute(out_.node("Cast", owner + "/float", {out_.result()}), "to", onnx::TensorProto::FLOAT);
    return out_.result();
  }

  std::string quantise(const std::string& owner, int exponent, const std::string& value, int axis) {
    if (net_.half()) return through_half(owner, exponent, value);
    onnx::NodeProto& q =
        out_.node("QuantizeLinear", owner + "/q", {value, out_.power_of_two(exponent), out_.zero_int8()});
    if (axis >= 0) set_attribute(q, "axis", axis);
    out_.node("DequantizeLinear", owner + "/dq", {out_.result(), out_.power_of_two(exponent), out_.zero_int8()});
    return out_.result();
  }

  /// Relu, or Clip at the values of the node's bounds.
  onnx::NodeProto& bound(const IntNode& node, int low, int high, const std::string& name, const std::string& value,
                         bool own_node) {
    const auto add = [&](const char* op, const OnnxWriter::Names& inputs) -> onnx::NodeProto& {
      return own_node ? out_.reserved_node(op, name, inputs) : out_.node(op, name, inputs);
    };
    if (net_.half()) {
      const HalfBounds half = half_bounds(node);
      if (half.low == 0 && half.high == kLargestHalf) return add("Relu", {value});
      const auto limit = [&](const char* side, float units) -> std::string {
        if (std::abs(units) == kLargestHalf) return {};  // none
        const float real = std::ldexp(units, node.exponent);
        return out_.constant<float>(name + side, {}, std::span(&real, 1));
      };
      const std::string min = limit("/min", half.low), max = limit("/max", half.high);
      return add("Clip", {value, min, max});
    }
    if (low == 0 && high == 127) return add("Relu", {value});
    const float bounds[] = {std::ldexp(static_cast<float>(low), node.exponent),
                            std::ldexp(static_cast<float>(high), node.exponent)};
    const std::string min = out_.constant<float>(name + "/min", {}, std::span(bounds, 1));
    const std::string max = out_.constant<float>(name + "/max", {}, std::span(bounds + 1, 1));
    return add("Clip", {value, min, max});
  }
  std::string own_bound(const IntNode& node, int low, int high, const std::string& value) {
    bound(node, low, high, node.name + "/bound", value, false).set_doc_string(part_of(node.name));
    return out_.result();
  }

  /// Gives node `i`, whose float value is `value`, its bounds and a dequantised tensor for each reader.
  ///
  /// On x86 ONNX Runtime first turns int8 activations into uint8, but only where a QuantizeLinear has one
  /// DequantizeLinear and that has one reader; anything else stays float, together with the convolutions around it. So
  /// each reader gets a pair of its own. The pairs differ in `axis`, which means nothing for a scalar scale but keeps
  /// them from being merged; and a kernel's result reaches them through a bound, since it may feed one pair only.
  void publish(int i, std::string value, bool from_kernel) {
    const IntNode& node = net_.at(i);
    const bool bounded = (node.op == IntOp::conv || node.op == IntOp::add) && has_bounds(node);
    const bool split = for_integers() && readers(i) > 1;
    if (for_integers() && from_kernel && (bounded || split)) value = quantise(node.name, node.exponent, value, -1);
    if (bounded) {
      value = own_bound(node, node.low, node.high, value);
    } else if (split && from_kernel) {
      value = own_bound(node, -128, 127, value);
    }
    for (std::size_t j = 0; j < (split ? readers(i) : 1); ++j) {
      readings_[static_cast<std::size_t>(i)].push_back(
          quantise(node.name, node.exponent, value, split ? static_cast<int>(j) : -1));
    }
    if (i == net_.output) name_output(i);
  }

  bool has_bounds(const IntNode& node) const {
    const HalfBounds half = half_bounds(node);
    return net_.half() ? half.low != -kLargestHalf || half.high != kLargestHalf : node.low != -128 || node.high != 127;
  }

  void name_output(int i) {
    out_.name_result(net_.output_name);
    auto& readings = readings_[static_cast<std::size_t>(i)];
    if (!readings.empty()) readings.back() = net_.output_name;
  }

  /// The next unused reading of `from`, as a matrix or as an image, whichever `reader` wants.
  std::string read(int from, int reader, bool want_flat) {
    auto& readings = readings_[static_cast<std::size_t>(from)];
    const std::string value = readings.front();
    if (readings.size() > 1) readings.erase(readings.begin());
    if (flat(from) == want_flat) return value;
    const IntNode &node = net_.at(from), &by = net_.at(reader);
    require(want_flat || node.shape.h * node.shape.w == 1, ErrorKind::internal,
            "node '{}': reads the flattened '{}' as an image", by.name, node.name);
    if (want_flat) {
      onnx::NodeProto& flatten = out_.node("Flatten", by.name + "/flatten", {value});
      flatten.set_doc_string(part_of(by.name));
      set_attribute(flatten, "axis", 1);
    } else {
      const std::int64_t extents[] = {2, 3};
      const std::span<const std::int64_t> spatial(extents, static_cast<std::size_t>(net_.spatial_rank));
      const std::string dims = out_.constant<std::int64_t>(by.name + "/axes", {net_.spatial_rank}, spatial);
      out_.node("Unsqueeze", by.name + "/unsqueeze", {value, dims}).set_doc_string(part_of(by.name));
    }
    return quantise(by.name, node.exponent, out_.result(), -1);
  }

  void write(int i) {
    const IntNode& node = net_.at(i);
    switch (node.op) {
      case IntOp::input:
        out_.input(net_.input_name, dims_of(i));
        return publish(i, net_.input_name, false);
      case IntOp::conv:
        return write_layer(i);
      case IntOp::add:
      case IntOp::concat:
        return write_merge(i);
      case IntOp::clamp:
        carry_flat(i);
        bound(node, node.low, node.high, node.name, read(node.inputs[0], i, flat(i)), true);
        return publish(i, out_.result(), false);
      case IntOp::lookup:
        carry_flat(i);
        out_.reserved_node("Sigmoid", node.name, {read(node.inputs[0], i, flat(i))});
        return publish(i, out_.result(), true);
      case IntOp::max_pool:
      case IntOp::average_pool:
        return write_pool(i);
      case IntOp::view:
        carry_flat(i);
        set_attribute(out_.reserved_node("Flatten", node.name, {read(node.inputs[0], i, flat(i))}), "axis", 1);
        flat_[static_cast<std::size_t>(i)] = true;
        return publish(i, out_.result(), true);
    }
  }

  /// Flat if any input is.
  void carry_flat(int i) {
    for (const int in : net_.at(i).inputs) {
      if (flat(in)) flat_[static_cast<std::size_t>(i)] = true;
    }
  }

  void write_merge(int i) {
    const IntNode& node = net_.at(i);
    carry_flat(i);
    OnnxWriter::Names values;
    for (const int in : node.inputs) {
      require(node.op == IntOp::add || !flat(i) || net_.at(in).shape.h * net_.at(in).shape.w == 1, ErrorKind::internal,
              "node '{}': concatenates flattened images", node.name);
      values.push_back(read(in, i, flat(i)));
    }
    onnx::NodeProto& merged = out_.reserved_node(node.op == IntOp::add ? "Add" : "Concat", node.name, values);
    if (node.op == IntOp::concat) set_attribute(merged, "axis", 1);
    publish(i, out_.result(), true);
  }

  void write_pool(int i) {
    const IntNode& node = net_.at(i);
    const Window& w = node.pool;
    const Shape& in = net_.at(node.inputs[0]).shape;
    const std::string value = read(node.inputs[0], i, false);
    const bool average = node.op == IntOp::average_pool;
    const bool whole = w.r == in.h && w.s == in.w && w.dilation_h == 1 && w.dilation_w == 1 && w.pad_top == 0 &&
                       w.pad_left == 0 && w.pad_bottom == 0 && w.pad_right == 0 && w.stride_h == 1 && w.stride_w == 1;
    if (average && whole && !node.count_include_pad) {
      out_.reserved_node("GlobalAveragePool", node.name, {value});
    } else {
      onnx::NodeProto& pool = out_.reserved_node(average ? "AveragePool" : "MaxPool", node.name, {value});
      if (average) set_attribute(pool, "count_include_pad", node.count_include_pad ? 1 : 0);
      if (!average || w.dilation_h != 1 || w.dilation_w != 1) {
        set_attribute(pool, "dilations", axes(w.dilation_h, w.dilation_w));
      }
      write_window(pool, w, pads_of(w.pad_top, w.pad_left, w.pad_bottom, w.pad_right), w.stride_h, w.stride_w);
    }
    publish(i, out_.result(), true);
  }

  OnnxWriter::Dims pads_of(std::int64_t top, std::int64_t left, std::int64_t bottom, std::int64_t right) const {
    return net_.spatial_rank == 1 ? OnnxWriter::Dims{top, bottom} : OnnxWriter::Dims{top, left, bottom, right};
  }
  void write_window(onnx::NodeProto& node, const Window& w, const OnnxWriter::Dims& pads, std::int64_t stride_h,
                    std::int64_t stride_w) const {
    set_attribute(node, "kernel_shape", axes(w.r, w.s));
    set_attribute(node, "pads", pads);
    set_attribute(node, "strides", axes(stride_h, stride_w));
  }

  void write_layer(int i) {
    const IntNode& node = net_.at(i);
    const Layer& layer = net_.layer(node.layer);
    check_layer(i, layer);
    flat_[static_cast<std::size_t>(i)] = layer.gemm;
    const std::string x = read(node.inputs[0], i, layer.gemm);
    const std::vector<float> scales = weight_scales(i, layer);
    const bool uniform = std::ranges::all_of(scales, [&](float scale) { return scale == scales[0]; });
    const bool grouped_axis = layer.conv.transposed && layer.conv.groups > 1 && !uniform;
    const bool unit = layer.params.bits == kHalfBits ||
                      (for_onnxruntime() ? needs_unit_form(layer, is_float_output(i)) : grouped_axis);
    const std::vector<float> written = unit ? std::vector{1.0f} : uniform ? std::vector{scales[0]} : scales;
    const std::string w = write_weights(layer, written), b = write_bias(i, layer, written);
    write_geometry(out_.reserved_node(layer.gemm              ? "Gemm"
                                      : layer.conv.transposed ? "ConvTranspose"
                                                              : "Conv",
                                      node.name, {x, w, b}),
                   layer);
    if (unit) {
      OnnxWriter::Dims dims = axes(1, 1);
      dims.insert(dims.begin(), static_cast<std::int64_t>(scales.size()));
      const std::string factors = out_.constant<float>(node.name + "/scale", dims, scales);
      out_.node("Mul", node.name + "/mul", {out_.result(), factors}).set_doc_string(part_of(node.name));
    }
    if (!is_float_output(i)) return publish(i, out_.result(), true);
    if (node.low == 0) {
      out_.node("Relu", node.name + "/bound", {out_.result()}).set_doc_string(part_of(node.name));
    }
    if (net_.flatten_output) {
      onnx::NodeProto& flatten = out_.node("Flatten", node.name + "/flatten", {out_.result()});
      flatten.set_doc_string(part_of(node.name));
      set_attribute(flatten, "axis", 1);
      flat_[static_cast<std::size_t>(i)] = true;
    }
    name_output(i);
  }

  void check_layer(int i, const Layer& layer) const {
    const auto k = static_cast<std::size_t>(layer.filter.k);
    const LayerParams& p = layer.params;
    const std::size_t weights = p.bits == kHalfBits ? layer.weights.size() : p.codes.size();
    require(static_cast<std::int64_t>(weights) == layer.filter.size() && p.bias.size() == k &&
                p.multiplier.size() == k && k > 0 && (p.bits != kHalfBits || net_.half()),
            ErrorKind::internal, "layer '{}': its codes, biases and multipliers do not fit its filter", layer.name);
    require(!is_float_output(i) || readers(i) == 0, ErrorKind::internal,
            "layer '{}': is the float output and is read by other nodes", layer.name);
    require(!layer.gemm || (layer.filter.r == layer.in.h && layer.filter.s == layer.in.w), ErrorKind::internal,
            "layer '{}': a matrix product must cover its whole input", layer.name);
  }

  /// multiplier * s_out / s_x: exact, since both activation scales are powers of two.
  std::vector<float> weight_scales(int i, const Layer& layer) const {
    const int in = net_.at(net_.at(i).inputs[0]).exponent, out = is_float_output(i) ? 0 : net_.at(i).exponent;
    std::vector<float> scales;
    for (const float multiplier : layer.params.multiplier) {
      scales.push_back(std::ldexp(multiplier, out - in));
      require(std::isnormal(scales.back()) && scales.back() > 0 && std::isnormal(std::ldexp(multiplier, out)),
              ErrorKind::input, "layer '{}': channel {} has the weight scale {} * 2^{}, which float32 cannot hold",
              layer.name, scales.size() - 1, multiplier, out - in);
    }
    return scales;
  }

  /// Scales are scalar where one value serves all channels, else one entry per channel.
  template <class T>
  std::string dequantise(const std::string& name, const OnnxWriter::Dims& dims, std::span<const T> values,
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

  std::string write_weights(const Layer& layer, const std::vector<float>& scales) {
    if (layer.params.bits == kHalfBits) return write_half_weights(layer);
    std::vector<std::int8_t> codes(layer.params.codes.size());
    for_each_weight(layer, [&](std::size_t to, std::size_t from) { codes[to] = layer.params.codes[from]; });
    return dequantise<std::int8_t>(net_.at(layer.node).name + "/weight", onnx_weight_dims(layer, net_.spatial_rank),
                                   codes, scales, layer.conv.transposed ? 1 : 0);
  }

  /// In units of the scales that follow the layer.
  std::string write_half_weights(const Layer& layer) {
    const std::vector<Half> filter = half_filter(layer, layer.params);
    std::vector<float> values(filter.size());
    for_each_weight(layer, [&](std::size_t to, std::size_t from) { values[to] = to_float(filter[from]); });
    return out_.constant<float>(net_.at(layer.node).name + "/weight", onnx_weight_dims(layer, net_.spatial_rank),
                                values);
  }

  /// int32 on the accumulator's grid; as plain floats for TensorRT.
  std::string write_bias(int i, const Layer& layer, std::vector<float> scales) {
    for (float& scale : scales) scale = std::ldexp(scale, net_.at(net_.at(i).inputs[0]).exponent);
    const std::string name = net_.at(i).name + "/bias";
    const OnnxWriter::Dims dims{layer.filter.k};
    if (for_onnxruntime()) return dequantise<std::int32_t>(name, dims, layer.params.bias, scales, 0);
    std::vector<float> bias;
    for (std::size_t k = 0; k < layer.params.bias.size(); ++k) {
      bias.push_back(static_cast<float>(layer.params.bias[k]) * scales[scales.size() == 1 ? 0 : k]);
    }
    return out_.constant<float>(name, dims, bias);
  }

  void write_geometry(onnx::NodeProto& node, const Layer& layer) const {
    node.set_doc_string(describe_grid(layer));
    if (layer.gemm) return set_attribute(node, "transB", 1);
    const ConvGeometry& g = layer.conv;
    const Window& w = g.window;
    set_attribute(node, "dilations", axes(w.dilation_h, w.dilation_w));
    set_attribute(node, "group", g.groups);
    if (!g.transposed) {
      write_window(node, w, pads_of(w.pad_top, w.pad_left, w.pad_bottom, w.pad_right), w.stride_h, w.stride_w);
      return;
    }
    const std::int64_t reach_h = w.dilation_h * (w.r - 1), reach_w = w.dilation_w * (w.s - 1);
    const std::int64_t bottom = reach_h - w.pad_bottom, right = reach_w - w.pad_right;
    require(w.pad_top <= reach_h && w.pad_left <= reach_w, ErrorKind::internal,
            "layer '{}': a transposed convolution with negative padding", layer.name);
    const auto padding = [](std::int64_t v) { return std::max<std::int64_t>(v, 0); };
    write_window(node, w, pads_of(reach_h - w.pad_top, reach_w - w.pad_left, padding(bottom), padding(right)),
                 g.spread_h, g.spread_w);
    if (bottom < 0 || right < 0) set_attribute(node, "output_padding", axes(padding(-bottom), padding(-right)));
  }

  const IntNetwork& net_;
  ExportTarget target_;
  OnnxWriter out_;
  std::vector<std::size_t> readers_;  ///< [nodes] how often each is read; the network's output is a reader
  std::vector<std::vector<std::string>> readings_;  ///< [nodes] dequantised tensors that are still to be read
  std::vector<bool> flat_;                          ///< [nodes] a matrix [N, features] in ONNX
};

}  // namespace

std::string to_qdq_onnx(const IntNetwork& network, ExportTarget target) {
  return Exporter(network, target).run();
}

}  // namespace qnudge
