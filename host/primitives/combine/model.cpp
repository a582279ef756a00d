// SPDX-License-Identifier: MIT
#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

std::string_view kind(const Node&) {
  return "add";
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  require(std::get<FloatCombine>(node.what).kind == CombineKind::add, ErrorKind::internal,
          "node '{}': combines otherwise than by addition", node.name);
  require(inputs.size() == 2 && inputs[0] == inputs[1], ErrorKind::internal, "node '{}': its inputs differ in shape",
          node.name);
  return inputs[0];
}

void fingerprint(const Node& node, Fingerprint& hash) {
  const auto which = static_cast<std::int64_t>(std::get<FloatCombine>(node.what).kind);
  hash.add_values(std::span(&which, 1));
}

void write(const Node&, FloatWriter&, onnx::NodeProto& out) {
  out.set_op_type("Add");
}

}  // namespace

const ModelFacet model_facets::combine = {.kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write};

}  // namespace qnudge
