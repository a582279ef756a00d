// SPDX-License-Identifier: MIT
#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "host/model/float_sink.hpp"
#include "host/model/primitives.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using Dims = OnnxSink::Dims;

const ElementMap& map_of(const Node& node) {
  return std::get<FloatMove>(node.what).map;
}

std::string_view kind(const Node& node) {
  if (map_of(node).identity()) return "flatten";
  return node.inputs.size() > 1 ? "concat" : "move";
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

bool joins_channels(const Node& node, FloatWriter& to) {
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) shapes.push_back(to.input_shape(node, i));
  return map_of(node) == joined_channels(shapes);
}

void write(const Node& node, FloatWriter& to, onnx::NodeProto& out) {
  if (map_of(node).identity() || joins_channels(node, to)) {
    out.set_op_type(map_of(node).identity() ? "Flatten" : "Concat");
    set_integer(out, "axis", 1);
    return;
  }
  FloatSink sink(to, node);
  std::vector<OnnxForm> forms;
  for (std::size_t i = 0; i < node.inputs.size(); ++i) forms.push_back(sink.form(i));
  const bool line = to.graph().spatial_rank == 1;
  write_move(sink, map_of(node), forms, {node.shape, line, false}, {out.input().begin(), out.input().end()});
  to.become_last(out);
}

/// [N, H, W, C] or [N, H, C] without the samples.
Dims pixels_of(const OnnxForm& form) {
  return form.line ? Dims{-1, form.shape.h, form.shape.c} : Dims{-1, form.shape.h, form.shape.w, form.shape.c};
}

/// The input cut into axes of which every axis of the box is a slice.
struct Cut {
  Dims dims, starts;
  std::vector<ElementMap::Axis> axes;  ///< by falling distance in the input
};

std::optional<Cut> cut(const ElementMap::Box& box, std::int64_t size) {
  Cut result;
  for (const ElementMap::Axis& axis : box.axes) {
    if (axis.from < 0) return std::nullopt;
    if (axis.from > 0 && axis.extent > 1) result.axes.push_back(axis);
  }
  std::ranges::stable_sort(result.axes, std::greater<>(), &ElementMap::Axis::from);
  std::int64_t around = size, rest = box.from;
  for (const ElementMap::Axis& axis : result.axes) {
    if (around % axis.from != 0) return std::nullopt;
    const std::int64_t extent = around / axis.from, start = rest / axis.from;
    if (start + axis.extent > extent) return std::nullopt;
    result.dims.push_back(extent);
    result.starts.push_back(start);
    around = axis.from;
    rest %= axis.from;
  }
  result.dims.push_back(around);
  result.starts.push_back(rest);
  return result;
}

/// One box that fills the whole output.
void write_box(OnnxSink& to, const ElementMap::Box& box, const Cut& parts, const OnnxForm& in, const OnnxForm& out,
               const std::string& value) {
  const std::size_t count = parts.axes.size();
  Dims dims = parts.dims, ends;
  dims.insert(dims.begin(), -1);
  const std::string lines = in.channels_last(to, value);
  std::string x = to.node("Reshape", {lines, to.integers("extents", dims)}, OnnxSink::Part::main).output(0);
  Dims axes(count + 1), one{-1};
  for (std::size_t i = 0; i <= count; ++i) {
    axes[i] = static_cast<std::int64_t>(i) + 1;
    ends.push_back(parts.starts[i] + (i < count ? parts.axes[i].extent : 1));
    if (i < count) one.push_back(parts.axes[i].extent);
  }
  x = to.node("Slice", {x, to.integers("starts", parts.starts), to.integers("ends", ends), to.integers("axes", axes)})
          .output(0);
  // Repeated axes have extent 1 so far; then all of them in the order of the output.
  std::vector<ElementMap::Axis> all = parts.axes;
  for (const ElementMap::Axis& axis : box.axes) {
    if (axis.from == 0 && axis.extent > 1) all.push_back(axis), one.push_back(1);
  }
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>(), [&](std::size_t i) { return all[i].to; });
  Dims perm{0}, whole{1};
  for (const std::size_t i : order) {
    perm.push_back(static_cast<std::int64_t>(i) + 1);
    whole.push_back(all[i].extent);
  }
  x = to.transpose(to.reshape(x, one), perm);
  if (all.size() > count) x = to.node("Expand", {x, to.integers("repeated", whole)}).output(0);
  out.channels_first(to, to.reshape(x, pixels_of(out)));
}

/// Where every output element comes from, among the elements of all inputs one behind another.
std::vector<std::int64_t> places_of(const ElementMap& map, std::span<const OnnxForm> inputs, std::int64_t size) {
  std::vector<std::int64_t> places(static_cast<std::size_t>(size)), first{0};
  for (const OnnxForm& input : inputs) first.push_back(first.back() + input.shape.size());
  const std::function<void(const ElementMap::Box&, std::size_t, std::int64_t, std::int64_t)> visit =
      [&](const ElementMap::Box& box, std::size_t depth, std::int64_t from, std::int64_t at) {
        if (depth == box.axes.size()) {
          places[static_cast<std::size_t>(at)] = from;
          return;
        }
        const ElementMap::Axis& axis = box.axes[depth];
        for (std::int64_t i = 0; i < axis.extent; ++i) visit(box, depth + 1, from + i * axis.from, at + i * axis.to);
      };
  for (const ElementMap::Box& box : map.boxes) {
    visit(box, 0, first[static_cast<std::size_t>(box.input)] + box.from, box.to);
  }
  return places;
}

}  // namespace

void write_move(OnnxSink& to, const ElementMap& map, std::span<const OnnxForm> inputs, const OnnxForm& out,
                const std::vector<std::string>& values) {
  const auto parts = map.boxes.size() == 1 ? cut(map.boxes[0], inputs[0].shape.size()) : std::nullopt;
  if (parts) return write_box(to, map.boxes[0], *parts, inputs[0], out, values[0]);
  OnnxSink::Names lines;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    lines.push_back(to.reshape(inputs[i].channels_last(to, values[i]), {-1, inputs[i].shape.size()}));
  }
  onnx::NodeProto& joined = to.node("Concat", lines, OnnxSink::Part::main);
  onnx::AttributeProto& along = *joined.add_attribute();
  along.set_name("axis");
  along.set_type(onnx::AttributeProto::INT);
  along.set_i(1);
  const std::string line = joined.output(0);
  onnx::NodeProto& picked = to.node("Gather", {line, to.integers("places", places_of(map, inputs, out.shape.size()))});
  onnx::AttributeProto& axis = *picked.add_attribute();
  axis.set_name("axis");
  axis.set_type(onnx::AttributeProto::INT);
  axis.set_i(1);
  const std::string moved = picked.output(0);
  out.channels_first(to, to.reshape(moved, pixels_of(out)));
}

const ModelFacet model_facets::move = {
    .kind = kind, .shape = shape, .fingerprint = fingerprint, .write = write, .flattens = [](const Node& node) {
      return map_of(node).identity();
    }};

}  // namespace qnudge
