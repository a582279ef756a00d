// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>

#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const FloatCombine& combine_of(const Node& node) {
  return std::get<FloatCombine>(node.what);
}

Shape shape(const Node& node, std::span<const Shape> inputs) {
  const FloatCombine& combine = combine_of(node);
  const bool constant = !combine.constant.empty();
  require(inputs.size() == (constant ? 1u : 2u) &&
              (!constant || static_cast<std::int64_t>(combine.constant.size()) == combine.constant_shape.size()),
          ErrorKind::internal, "node '{}': its operands are not two, or its constant does not have its shape",
          node.name);
  const Shape a = inputs[0], b = constant ? combine.constant_shape : inputs[1];
  const auto joined = [&](std::int64_t u, std::int64_t v) {
    require(u == v || u == 1 || v == 1, ErrorKind::internal, "node '{}': its inputs differ in shape", node.name);
    return std::max(u, v);
  };
  return {joined(a.h, b.h), joined(a.w, b.w), joined(a.c, b.c)};
}

void fingerprint(const Node& node, Fingerprint& hash) {
  const FloatCombine& combine = combine_of(node);
  const Shape& s = combine.constant_shape;
  const std::int64_t integers[] = {static_cast<std::int64_t>(combine.kind), combine.constant_first, s.h, s.w, s.c};
  hash.add_values(std::span<const std::int64_t>(integers));
  hash.add_values(std::span<const float>(combine.constant));
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  const FloatCombine& combine = combine_of(node);
  out.set_op_type(onnx_operator(combine.kind));
  if (combine.constant.empty()) return;
  out.add_input(to.tensor(node, node.name + ".constant", combine.constant_shape, combine.constant));
  if (combine.constant_first) out.mutable_input()->SwapElements(0, 1);
}

}  // namespace

const ModelFacet model_facets::combine = {.kind = [](const Node& node) { return to_string(combine_of(node).kind); },
                                          .shape = shape,
                                          .fingerprint = fingerprint,
                                          .write = write};

}  // namespace qnudge
