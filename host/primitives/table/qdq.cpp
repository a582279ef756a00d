// SPDX-License-Identifier: MIT
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_reader.hpp"
#include "host/quant/qdq_writer.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/model/functions.hpp"

namespace qnudge {
namespace {

void write(QdqWriter& to, int i) {
  const IntNode& node = to.network().at(i);
  const ScalarFunction& function = std::get<IntTable>(node.what).function;
  to.carry_flat(i);
  const std::string x = to.read(node.inputs[0], i, to.flat(i));
  if (function.is_identity()) {
    to.bound(node, node.low, node.high, node.name, x, true);
    return to.publish(i, to.out().result(), QdqWriter::Result::given);
  }
  require(function == sigmoid_function(), ErrorKind::internal, "node '{}': no ONNX spelling of its function",
          node.name);
  to.out().reserved_node("Sigmoid", node.name, {x});
  to.publish(i, to.out().result(), QdqWriter::Result::kernel);
}

bool read(QdqReader& reader, const onnx::NodeProto& from) {
  const std::string& op = from.op_type();
  if (op == "Sigmoid") {
    reader.append(from, reader.make(from, IntTable{.function = sigmoid_function()}, {reader.reading(from, 0)}));
    return true;
  }
  if (op != "Relu" && op != "Clip") return false;
  const QdqReader::Bounds bounds = reader.read_bounds(from);
  IntNode clamp = reader.make(from, IntTable{}, {reader.reading(from, 0)});
  bounds.apply(clamp);
  reader.append(from, std::move(clamp));
  return true;
}

}  // namespace

const QdqFacet qdq_facets::table = {.write = write, .read = read};

}  // namespace qnudge
