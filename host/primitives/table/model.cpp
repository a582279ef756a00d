// SPDX-License-Identifier: MIT
#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const ScalarFunction& function_of(const Node& node) {
  return std::get<FloatTable>(node.what).function;
}

std::optional<Interval> interval(const Node& node) {
  return bounds_of(function_of(node));
}

std::string_view kind(const Node& node) {
  const auto bounds = interval(node);
  if (bounds == Interval{.low = 0}) return "relu";
  if (bounds) return "clip";
  return function_of(node) == sigmoid_function() ? "sigmoid" : "table";
}

Shape shape(const Node&, std::span<const Shape> inputs) {
  return inputs[0];
}

void fingerprint(const Node& node, Fingerprint& hash) {
  for (const ScalarFunction::Step& step : function_of(node).steps) {
    const auto code = static_cast<std::int64_t>(step.code);
    hash.add_values(std::span(&code, 1));
    hash.add_values(std::span<const float>(step.values));
  }
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const auto bounds = interval(node);
  if (bounds == Interval{.low = 0}) return out.set_op_type("Relu");
  if (bounds) {
    out.set_op_type("Clip");
    out.add_input(to.initializer(node.name + ".low", {}, std::span(&bounds->low, 1)));
    out.add_input(to.initializer(node.name + ".high", {}, std::span(&bounds->high, 1)));
    return;
  }
  require(function_of(node) == sigmoid_function(), ErrorKind::internal, "node '{}': no ONNX spelling of its function",
          node.name);
  out.set_op_type("Sigmoid");
}

}  // namespace

const ModelFacet model_facets::table = {
    .kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write, .bounds = interval};

}  // namespace qnudge
