// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "host/quant/function_text.hpp"
#include "host/quant/onnx_layer.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/model/functions.hpp"
#include "qnudge/quant/code_table.hpp"

namespace qnudge {
namespace {

using Op = ScalarFunction::Op;
constexpr std::size_t kCodes = 256;

const IntTable& table_of(const IntNode& node) {
  return std::get<IntTable>(node.what);
}

/// Whether operators in fp32 are sure to give the table's codes. Halves are rounded anyway.
bool steps_give(const IntNetwork& network, const IntNode& node) {
  const IntTable& table = table_of(node);
  if (operands(table.function.steps().back().op) == 0) return false;
  if (network.half()) return true;
  const int from = network.at(node.inputs[0]).exponent;
  for (std::size_t c = 0; c * kCodes < table.codes.size(); ++c) {
    const auto begin = table.codes.begin() + static_cast<std::ptrdiff_t>(c * kCodes);
    const ScalarFunction f = table.parameters.empty() ? table.function : table.function.of_channel(table.parameters, c);
    if (!float_steps_give({begin, begin + kCodes}, f, from, node.exponent, node.low, node.high)) return false;
  }
  return true;
}

/// A tensor for each time that steps look at x: one with two readers would keep the node before it out of ONNX
/// Runtime's integer kernels.
std::size_t readings(const IntNetwork& network, const IntNode& node) {
  if (table_of(node).function.is_identity() || !steps_give(network, node)) return 1;
  std::size_t count = 0;
  for (const ScalarFunction::Step& step : table_of(node).function.steps()) count += (step.a == 0) + (step.b == 0);
  return count;
}

/// Operator by operator.
void write_steps(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const IntTable& table = table_of(node);
  const std::span<const ScalarFunction::Step> steps = table.function.steps();
  std::vector<std::string> values(1);
  for (std::size_t s = 1; s < steps.size(); ++s) {
    const ScalarFunction::Step& step = steps[s];
    if (step.op == Op::constant) {
      const auto value = static_cast<float>(step.constant);
      values.push_back(to.out().constant<float>(node.name + "/constant", {}, std::span(&value, 1)));
      continue;
    }
    if (step.op == Op::parameter) {
      const auto& all = table.parameters[static_cast<std::size_t>(step.constant)];
      const std::vector<float> channels(all.begin(), all.end());
      values.push_back(to.channel_constant<float>(i, node.name + "/constant", channels));
      continue;
    }
    OnnxWriter::Names operands;
    for (const int operand : {step.a, step.b}) {
      if (operand == 0) operands.push_back(to.read(node.inputs[0], i, to.flat(i)));
      if (operand > 0) operands.push_back(values[static_cast<std::size_t>(operand)]);
    }
    if (s + 1 == steps.size()) {
      onnx::NodeProto& last = to.out().reserved_node(onnx_operator(step.op), node.name, operands);
      if (table.function != sigmoid_function()) last.set_doc_string(function_text(table.function, table.parameters));
    } else {
      to.out().node(onnx_operator(step.op), node.name + "/step", operands).set_doc_string(step_of(node.name));
    }
    values.push_back(to.out().result());
  }
}

/// The table itself: Gather by code + 128, of channel c by 256 * c more.
void write_lookup(QdqWriter& to, int i, const std::string& x) {
  const IntNode& node = to.network().at(i);
  const IntTable& table = table_of(node);
  OnnxWriter& out = to.out();
  const std::string part = step_of(node.name);
  const float middle = 128;
  const std::string scale = out.power_of_two(to.network().at(node.inputs[0]).exponent);
  out.node("Div", node.name + "/index", {x, scale}).set_doc_string(part);  // exact: a code
  const std::string code = out.result(), shift = out.constant<float>(node.name + "/middle", {}, std::span(&middle, 1));
  out.node("Add", node.name + "/index", {code, shift}).set_doc_string(part);
  onnx::NodeProto& index = out.node("Cast", node.name + "/index", {out.result()});
  index.set_doc_string(part);
  set_attribute(index, "to", onnx::TensorProto::INT32);
  if (!table.parameters.empty()) {
    std::vector<std::int32_t> first(static_cast<std::size_t>(node.shape.c));
    for (std::size_t c = 0; c < first.size(); ++c) first[c] = static_cast<std::int32_t>(c * kCodes);
    const std::string rows = to.channel_constant<std::int32_t>(i, node.name + "/rows", first);
    const std::string within = out.result();
    out.node("Add", node.name + "/index", {within, rows}).set_doc_string(part);
  }
  const std::string at = out.result();
  // Reals, so that quantisation follows as behind any other operator: ONNX Runtime takes a convolution into integers
  // only between pairs of QuantizeLinear and DequantizeLinear.
  std::vector<float> values;
  for (const std::int8_t entry : table.codes) values.push_back(std::ldexp(static_cast<float>(entry), node.exponent));
  const std::string reals = out.constant<float>(node.name + "/table", {static_cast<std::int64_t>(values.size())},
                                                std::span<const float>(values));
  out.reserved_node("Gather", node.name, {reals, at}).set_doc_string(function_text(table.function, table.parameters));
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  to.carry_flat(i);
  if (table_of(node).function.is_identity()) {
    const std::string x = to.read(node.inputs[0], i, to.flat(i));
    to.bound(node, node.low, node.high, node.name, x, true);
    return to.publish(i, to.out().result(), QdqWriter::Result::given);
  }
  if (steps_give(to.network(), node)) {
    write_steps(to, i);
  } else {
    write_lookup(to, i, to.read(node.inputs[0], i, to.flat(i)));
  }
  to.publish(i, to.out().result(), QdqWriter::Result::kernel);
}

/// The node whose dequantised codes a node reads, maybe through steps before it; -1: none.
int read_through(QdqReader& reader, const onnx::NodeProto& from) {
  for (const std::string& input : from.input()) {
    if (reader.has_value(input) && reader.value(input).kind == QdqReader::Value::reading)
      return reader.value(input).node;
  }
  return -1;
}

void read_function(QdqReader& reader, const onnx::NodeProto& from) {
  IntTable table;
  parse_function(from.doc_string(), table.function, table.parameters);
  const int of = read_through(reader, from);
  require(of >= 0 && !table.function.is_identity(), ErrorKind::input, "its function is of no tensor before it");
  IntNode made = reader.make(from, std::move(table), {of});
  require(
      std::ranges::all_of(std::get<IntTable>(made.what).parameters,
                          [&](const auto& values) { return static_cast<std::int64_t>(values.size()) == made.shape.c; }),
      ErrorKind::input, "its function does not fit {} channels", made.shape.c);
  reader.append(from, std::move(made));
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  const std::string& op = from.op_type();
  if (is_function_text(from.doc_string())) {
    read_function(reader, from);
  } else if (op == "Sigmoid") {
    reader.append(from, reader.make(from, IntTable{.function = sigmoid_function()}, {reader.reading(from, 0)}));
  } else if (op == "Relu" || op == "Clip") {
    const QdqReader::Bounds bounds = reader.read_bounds(from);
    IntNode clamp = reader.make(from, IntTable{}, {reader.reading(from, 0)});
    bounds.apply(clamp);
    reader.append(from, std::move(clamp));
  } else {
    return false;
  }
  return true;
}

}  // namespace

const QdqFacet qdq_facets::table = {.write = write, .read = read, .readings = readings};

}  // namespace qnudge
