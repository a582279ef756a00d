// SPDX-License-Identifier: MIT
#include "host/model/primitives.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

const ElementMap& map_of(const Node& node) {
  return std::get<FloatMove>(node.what).map;
}

std::string_view kind(const Node& node) {
  return map_of(node).identity() ? "flatten" : "concat";
}

/// A map does not say it: the node does.
Shape shape(const Node& node, std::span<const Shape> inputs) {
  std::int64_t moved = map_of(node).identity() ? inputs[0].size() : 0;
  for (const ElementMap::Box& box : map_of(node).boxes) {
    std::int64_t elements = 1;
    for (const ElementMap::Axis& axis : box.axes) elements *= axis.extent;
    moved += elements;
  }
  require(moved == node.shape.size(), ErrorKind::internal, "node '{}': moves {} elements into {}", node.name, moved,
          node.shape.size());
  return node.shape;
}

void fingerprint(const Node& node, Fingerprint& hash) {
  for (const ElementMap::Box& box : map_of(node).boxes) {
    std::vector<std::int64_t> all{box.input, box.from, box.to};
    for (const ElementMap::Axis& axis : box.axes) all.insert(all.end(), {axis.extent, axis.from, axis.to});
    hash.add_values(std::span<const std::int64_t>(all));
  }
}

void write(const Node& node, FloatWriter&, onnx::NodeProto& out) {
  out.set_op_type(map_of(node).identity() ? "Flatten" : "Concat");
  set_integer(out, "axis", 1);
}

}  // namespace

const ModelFacet model_facets::move = {
    .kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write, .flattens = [](const Node& node) {
      return map_of(node).identity();
    }};

}  // namespace qnudge
