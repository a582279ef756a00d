// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "host/quant/onnx_geometry.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_sink.hpp"
#include "host/quant/qdq_writer.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 31;  ///< elements, and distances of elements

void write_concat(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  OnnxWriter::Names values;
  for (const int in : node.inputs) {
    const Shape& shape = to.network().at(in).shape;
    require(!to.flat(i) || shape.h * shape.w == 1, ErrorKind::internal, "node '{}': concatenates flattened images",
            node.name);
    values.push_back(to.read(in, i, to.flat(i)));
  }
  set_attribute(to.out().reserved_node("Concat", node.name, values), "axis", 1);
}

/// "move H W C", then for each box "/ input from to" and ", extent from to" for its axes.
std::string describe(const ElementMap& map, const Shape& shape) {
  std::string text = fmt::format("move {} {} {}", shape.h, shape.w, shape.c);
  for (const ElementMap::Box& box : map.boxes) {
    text += fmt::format(" / {} {} {}", box.input, box.from, box.to);
    for (const ElementMap::Axis& axis : box.axes) text += fmt::format(" , {} {} {}", axis.extent, axis.from, axis.to);
  }
  return text;
}

/// The map that a text says, after a check that every element that a box names exists in an input of those shapes and
/// in the output.
ElementMap parse(const std::string& text, const std::vector<Shape>& inputs, Shape& shape) {
  std::istringstream words(text.substr(5));
  words >> shape.h >> shape.w >> shape.c;
  require(!words.fail(), ErrorKind::input, "it does not say what it moves");
  check_shape(shape);
  ElementMap map;
  std::int64_t moved = 0;
  for (std::string sign; words >> sign;) {
    std::int64_t a = 0, b = 0, c = 0;
    words >> a >> b >> c;
    const bool sane = !words.fail() && std::abs(a) <= kMost && std::abs(b) <= kMost && std::abs(c) <= kMost;
    require(sane && (sign == "/" || (sign == "," && !map.boxes.empty() && a >= 1)), ErrorKind::input,
            "it does not say what it moves");
    if (sign == "/") {
      map.boxes.push_back({static_cast<int>(std::clamp<std::int64_t>(a, -1, 1 << 20)), b, c, {}});
    } else {
      map.boxes.back().axes.push_back({a, b, c});
    }
  }
  for (const ElementMap::Box& box : map.boxes) {
    require(box.input >= 0 && box.input < static_cast<int>(inputs.size()) && !box.axes.empty() &&
                box.axes.size() <= ElementMap::kMostAxes,
            ErrorKind::input, "it moves an input that it does not read");
    std::int64_t low = box.from, high = box.from, low_to = box.to, high_to = box.to, elements = 1;
    for (const ElementMap::Axis& axis : box.axes) {
      const std::int64_t from = (axis.extent - 1) * axis.from, to = (axis.extent - 1) * axis.to;
      (from < 0 ? low : high) += from;
      (to < 0 ? low_to : high_to) += to;
      elements = std::min(elements * axis.extent, kMost);
    }
    moved = std::min(moved + elements, kMost);
    require(low >= 0 && high < inputs[static_cast<std::size_t>(box.input)].size() && low_to >= 0 &&
                high_to < shape.size() && moved <= shape.size(),
            ErrorKind::input, "it moves elements that do not exist");
  }
  require(moved == shape.size(), ErrorKind::input, "it moves {} elements into {}", moved, shape.size());
  return map;
}

bool joins_channels(const QdqWriter& to, const IntNode& node) {
  std::vector<Shape> shapes;
  for (const int in : node.inputs) shapes.push_back(to.network().at(in).shape);
  return std::get<IntMove>(node.what).map == joined_channels(shapes);
}

void write_elements(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const ElementMap& map = std::get<IntMove>(node.what).map;
  QdqSink sink(to, node, describe(map, node.shape));
  std::vector<OnnxForm> forms;
  std::vector<std::string> values;
  for (const int in : node.inputs) {
    forms.push_back(sink.form(to.network().at(in).shape));
    forms.back().flat = to.flat(in);
    values.push_back(to.read(in, i, to.flat(in)));
  }
  write_move(sink, map, forms, sink.form(node.shape), values);
}

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  if (node.view()) {
    to.carry_flat(i);
    const std::string x = to.read(node.inputs[0], i, to.flat(i));
    set_attribute(to.out().reserved_node("Flatten", node.name, {x}), "axis", 1);
    to.set_flat(i, true);
  } else if (joins_channels(to, node)) {
    to.carry_flat(i);
    write_concat(to, i);
  } else {
    write_elements(to, i);
  }
  to.publish(i, to.out().result(), QdqWriter::Result::kernel);
}

void read_elements(QdqReader& reader, const onnx::NodeProto& from) {
  std::vector<int> inputs;
  std::vector<Shape> shapes;
  const int count = from.op_type() == "Concat" ? from.input_size() : 1;
  for (int i = 0; i < count; ++i) {
    inputs.push_back(reader.reading(from, i));
    shapes.push_back(reader.node(inputs.back()).shape);
  }
  require(!inputs.empty(), ErrorKind::input, "it has {} inputs", inputs.size());
  IntNode added = reader.make(from, {}, inputs);
  added.what = IntMove{parse(from.doc_string(), shapes, added.shape)};
  reader.append(from, std::move(added));
}

void read_concat(QdqReader& reader, const onnx::NodeProto& from) {
  std::vector<int> inputs;
  for (int i = 0; i < from.input_size(); ++i) inputs.push_back(reader.reading(from, i));
  require(!inputs.empty(), ErrorKind::input, "it has {} inputs", inputs.size());
  IntNode added = reader.make(from, {}, inputs);
  added.shape.c = 0;
  std::vector<Shape> shapes;
  for (const int in : inputs) {
    const Shape& shape = shapes.emplace_back(reader.node(in).shape);
    require(shape.h == added.shape.h && shape.w == added.shape.w, ErrorKind::input,
            "the shapes of its inputs do not fit");
    added.shape.c += shape.c;
    check_shape(added.shape);
  }
  added.what = IntMove{joined_channels(shapes)};
  reader.append(from, std::move(added));
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  if (from.doc_string().starts_with("move ")) {
    read_elements(reader, from);
  } else if (from.op_type() == "Concat") {
    read_concat(reader, from);
  } else if (from.op_type() == "Flatten") {
    reader.append(from, reader.make(from, IntMove{}, {reader.reading(from, 0)}));
  } else {
    return false;
  }
  return true;
}

}  // namespace

const QdqFacet qdq_facets::move = {.write = write, .read = read};

}  // namespace qnudge
