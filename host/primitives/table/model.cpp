// SPDX-License-Identifier: MIT
#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/model/functions.hpp"

namespace qnudge {
namespace {

const ScalarFunction& function_of(const Node& node) {
  return std::get<FloatTable>(node.what).function;
}

std::optional<ScalarFunction::Bounds> bounds(const Node& node) {
  return function_of(node).bounds();
}

std::string_view kind(const Node& node) {
  if (function_of(node) == relu_function()) return "relu";
  if (bounds(node)) return "clip";
  return function_of(node) == sigmoid_function() ? "sigmoid" : "table";
}

Shape shape(const Node&, std::span<const Shape> inputs) {
  return inputs[0];
}

void fingerprint(const Node& node, Fingerprint& hash) {
  for (const ScalarFunction::Step& step : function_of(node).steps()) {
    const std::int64_t integers[] = {static_cast<std::int64_t>(step.op), step.a, step.b};
    hash.add_values(std::span<const std::int64_t>(integers));
    hash.add_values(std::span(&step.constant, 1));
  }
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
  require(function_of(node) == sigmoid_function(), ErrorKind::internal, "node '{}': no ONNX spelling of its function",
          node.name);
  out.set_op_type("Sigmoid");
}

}  // namespace

const ModelFacet model_facets::table = {
    .kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write, .bounds = bounds};

}  // namespace qnudge
