// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include "qnudge/quant/network.hpp"

namespace qnudge {

class QdqReader;
class QdqWriter;

/// How a primitive stands in QDQ ONNX.
struct QdqFacet {
  void (*write)(QdqWriter&, int node);
  /// Takes an ONNX node that `write` makes; false for any other (null: no node is ever one).
  bool (*read)(QdqReader&, const onnx::NodeProto& from) = nullptr;
  /// How many dequantised tensors the node reads of each of its inputs (null: one).
  std::size_t (*readings)(const IntNetwork&, const IntNode&) = nullptr;
  /// Opset that the node needs (null: any).
  int (*opset)(const IntNode&) = nullptr;
};

/// The row of the table for this node.
const QdqFacet& qdq_facet(const IntNode& node);

/// Whether a primitive has taken the ONNX node.
bool read_primitive(QdqReader& reader, const onnx::NodeProto& from);

/// Defined in the rooms, host/primitives/<name>/qdq.cpp.
namespace qdq_facets {
extern const QdqFacet input, layer, table, combine, window, move, mix, product, normalise;
}

}  // namespace qnudge
