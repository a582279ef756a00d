// SPDX-License-Identifier: MIT
#include "qnudge/quant/onnx_export.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "onnx_layer.hpp"
#include "qdq_primitives.hpp"
#include "qdq_writer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

constexpr int kOpset = 13;

int opset_for(const IntNetwork& network) {
  int opset = kOpset;
  for (const IntNode& node : network.nodes) {
    const auto needed = qdq_facet(node).opset;
    if (needed != nullptr) opset = std::max(opset, needed(node));
  }
  return opset;
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
    require(is.low == should.low && is.high == should.high && is.what == should.what, ErrorKind::internal,
            "node '{}': its bounds, multipliers or table do not follow from the exponents", is.name);
  }
}

}  // namespace

QdqWriter::QdqWriter(const IntNetwork& network, ExportTarget target)
    : net_(network),
      target_(target),
      out_(opset_for(network)),
      readers_(network.nodes.size()),
      readings_(network.nodes.size()),
      flat_(network.nodes.size()) {}

std::string QdqWriter::run() {
  check_derived(net_);
  out_.reserve_tensor(net_.input_name);
  out_.reserve_tensor(net_.output_name);
  for (const IntNode& node : net_.nodes) {
    out_.reserve_node(node.name);
    const auto readings = qdq_facet(node).readings;
    const std::size_t each = readings == nullptr ? 1 : readings(net_, node);
    for (const int in : node.inputs) readers_[static_cast<std::size_t>(in)] += each;
  }
  if (!net_.float_output()) ++readers_[static_cast<std::size_t>(net_.output)];
  for (int i = 0; i < static_cast<int>(net_.nodes.size()); ++i) qdq_facet(net_.at(i)).write(*this, i);
  out_.output(net_.output_name, dims_of(net_.output));
  wrap_ends(out_.model(), net_.ends);
  return out_.model().SerializeAsString();
}

OnnxWriter::Dims QdqWriter::axes(std::int64_t h, std::int64_t w) const {
  return net_.spatial_rank == 1 ? OnnxWriter::Dims{h} : OnnxWriter::Dims{h, w};
}

OnnxWriter::Dims QdqWriter::dims_of(int i) const {
  const Shape& shape = net_.at(i).shape;
  if (flat(i)) return {shape.size()};
  OnnxWriter::Dims dims = axes(shape.h, shape.w);
  dims.insert(dims.begin(), shape.c);
  return dims;
}

/// To half and back. The scale is only said: it moves no rounding short of half's largest and smallest numbers.
std::string QdqWriter::through_half(const std::string& owner, int exponent, const std::string& value) {
  onnx::NodeProto& narrow = out_.node("Cast", owner + "/half", {value});
  narrow.set_doc_string(describe_units(exponent));
  set_attribute(narrow, "to", onnx::TensorProto::FLOAT16);
  set_attribute(out_.node("Cast", owner + "/float", {out_.result()}), "to", onnx::TensorProto::FLOAT);
  return out_.result();
}

std::string QdqWriter::quantise(const std::string& owner, int exponent, const std::string& value, int axis) {
  if (net_.half()) return through_half(owner, exponent, value);
  onnx::NodeProto& q =
      out_.node("QuantizeLinear", owner + "/q", {value, out_.power_of_two(exponent), out_.zero_int8()});
  if (axis >= 0) set_attribute(q, "axis", axis);
  out_.node("DequantizeLinear", owner + "/dq", {out_.result(), out_.power_of_two(exponent), out_.zero_int8()});
  return out_.result();
}

onnx::NodeProto& QdqWriter::bound(const IntNode& node, int low, int high, const std::string& name,
                                  const std::string& value, bool own_node) {
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

std::string QdqWriter::own_bound(const IntNode& node, int low, int high, const std::string& value) {
  bound(node, low, high, node.name + "/bound", value, false).set_doc_string(part_of(node.name));
  return out_.result();
}

/// On x86 ONNX Runtime first turns int8 activations into uint8, but only where a QuantizeLinear has one
/// DequantizeLinear and that has one reader; anything else stays float, together with the convolutions around it. So
/// each reader gets a pair of its own. The pairs differ in `axis`, which means nothing for a scalar scale but keeps
/// them from being merged; and a kernel's result reaches them through a bound, since it may feed one pair only.
void QdqWriter::publish(int i, std::string value, Result result) {
  const IntNode& node = net_.at(i);
  const bool from_kernel = result != Result::given, bounded = result == Result::bounded && has_bounds(node);
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

bool QdqWriter::has_bounds(const IntNode& node) const {
  const HalfBounds half = half_bounds(node);
  return net_.half() ? half.low != -kLargestHalf || half.high != kLargestHalf : node.low != -128 || node.high != 127;
}

void QdqWriter::name_output(int i) {
  out_.name_result(net_.output_name);
  auto& readings = readings_[static_cast<std::size_t>(i)];
  if (!readings.empty()) readings.back() = net_.output_name;
}

std::string QdqWriter::read(int from, int reader, bool want_flat) {
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

void QdqWriter::carry_flat(int i) {
  for (const int in : net_.at(i).inputs) {
    if (flat(in)) flat_[static_cast<std::size_t>(i)] = true;
  }
}

void QdqWriter::write_window(onnx::NodeProto& node, const Window& w) const {
  using Dims = OnnxWriter::Dims;
  set_attribute(node, "kernel_shape", axes(w.r, w.s));
  set_attribute(
      node, "pads",
      net_.spatial_rank == 1 ? Dims{w.pad_top, w.pad_bottom} : Dims{w.pad_top, w.pad_left, w.pad_bottom, w.pad_right});
  set_attribute(node, "strides", axes(w.stride_h, w.stride_w));
}

std::string to_qdq_onnx(const IntNetwork& network, ExportTarget target) {
  return QdqWriter(network, target).run();
}

}  // namespace qnudge
