// SPDX-License-Identifier: MIT
#include <algorithm>

#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/model/functions.hpp"

namespace qnudge {
namespace {

const FloatTable& table_of(const Node& node) {
  return std::get<FloatTable>(node.what);
}

const ScalarFunction& function_of(const Node& node) {
  return table_of(node).function;
}

std::optional<ScalarFunction::Bounds> bounds(const Node& node) {
  return function_of(node).bounds();
}

std::string_view kind(const Node& node) {
  if (function_of(node) == relu_function()) return "relu";
  if (bounds(node)) return "clip";
  return function_of(node) == sigmoid_function() ? "sigmoid" : "table";
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  const FloatTable& table = table_of(node);
  const auto fits = [&](const std::vector<double>& values) {
    return static_cast<std::int64_t>(values.size()) == inputs[0].c;
  };
  require(table.parameters.size() >= table.function.parameters() && std::ranges::all_of(table.parameters, fits),
          ErrorKind::internal, "node '{}': its parameters do not fit {} channels", node.name, inputs[0].c);
  return inputs[0];
}

void fingerprint(const Node& node, Fingerprint& hash) {
  for (const ScalarFunction::Step& step : function_of(node).steps()) {
    const std::int64_t integers[] = {static_cast<std::int64_t>(step.op), step.a, step.b};
    hash.add_values(std::span<const std::int64_t>(integers));
    hash.add_values(std::span(&step.constant, 1));
  }
  for (const std::vector<double>& values : table_of(node).parameters) hash.add_values(std::span<const double>(values));
}

/// Operator by operator; `out` is the last one.
void write_steps(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const std::span<const ScalarFunction::Step> steps = function_of(node).steps();
  std::vector<std::string> values{out.input(0)};
  out.clear_input();
  for (std::size_t i = 1; i < steps.size(); ++i) {
    const ScalarFunction::Step& step = steps[i];
    if (step.op == ScalarFunction::Op::constant) {
      const auto value = static_cast<float>(step.constant);
      values.push_back(to.initializer(node.name + ".constant", {}, std::span(&value, 1)));
    } else if (step.op == ScalarFunction::Op::parameter) {
      const auto& all = table_of(node).parameters[static_cast<std::size_t>(step.constant)];
      values.push_back(to.per_channel(node, node.name + ".constant", all));
    } else {
      onnx::NodeProto& op = i + 1 == steps.size() ? out : to.node_before(node.name + ".step");
      op.set_op_type(onnx_operator(step.op));
      for (const int operand : {step.a, step.b}) {
        if (operand >= 0) op.add_input(values[static_cast<std::size_t>(operand)]);
      }
      values.push_back(op.output(0));
    }
  }
  require(out.input_size() > 0, ErrorKind::internal, "node '{}': its function has no operator", node.name);
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  if (function_of(node) == relu_function()) return out.set_op_type("Relu");
  if (const auto limits = bounds(node)) {
    const float low = static_cast<float>(limits->low), high = static_cast<float>(limits->high);
    out.set_op_type("Clip");
    out.add_input(to.initializer(node.name + ".low", {}, std::span(&low, 1)));
    out.add_input(to.initializer(node.name + ".high", {}, std::span(&high, 1)));
    return;
  }
  write_steps(node, to, out);
}

}  // namespace

const ModelFacet model_facets::table = {
    .kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write, .bounds = bounds};

}  // namespace qnudge
