// SPDX-License-Identifier: MIT
#include "host/quant/onnx_geometry.hpp"
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

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

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  to.carry_flat(i);
  if (node.view()) {
    const std::string x = to.read(node.inputs[0], i, to.flat(i));
    set_attribute(to.out().reserved_node("Flatten", node.name, {x}), "axis", 1);
    to.set_flat(i, true);
  } else {
    write_concat(to, i);
  }
  to.publish(i, to.out().result(), QdqWriter::Result::kernel);
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
  if (from.op_type() == "Concat") {
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
