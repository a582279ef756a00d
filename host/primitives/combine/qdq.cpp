// SPDX-License-Identifier: MIT
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  to.carry_flat(i);
  OnnxWriter::Names values;
  for (const int in : node.inputs) values.push_back(to.read(in, i, to.flat(i)));
  to.out().reserved_node("Add", node.name, values);
  to.publish(i, to.out().result(), QdqWriter::Result::bounded);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  if (from.op_type() != "Add") return false;
  require(from.input_size() == 2, ErrorKind::input, "it has {} inputs", from.input_size());
  IntNode added = reader.make(from, IntCombine{}, {reader.reading(from, 0), reader.reading(from, 1)});
  require(reader.node(added.inputs[1]).shape == added.shape, ErrorKind::input, "the shapes of its inputs do not fit");
  reader.append(from, std::move(added));
  return true;
}

}  // namespace

const QdqFacet qdq_facets::combine = {.write = write, .read = read};

}  // namespace qnudge
