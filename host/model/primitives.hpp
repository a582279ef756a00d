// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "float_writer.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// What the model layer knows of a primitive.
struct ModelFacet {
  std::string_view (*kind)(const Node&);
  /// See shape_of; never called for an input.
  Shape (*shape)(const Node&, std::span<const Shape> inputs);
  /// Adds all of the payload that decides a result.
  void (*fingerprint)(const Node&, Fingerprint&);
  /// Completes `out`, which has its name, inputs and output; null for an input.
  void (*write)(const Node&, FloatWriter&, onnx::NodeProto& out);
  std::optional<ScalarFunction::Bounds> (*bounds)(const Node&) = nullptr;  ///< see bounds_of; null: never
  int (*opset)(const Node&) = nullptr;                                     ///< that the node needs; null: any
  bool (*flattens)(const Node&) = nullptr;  ///< ONNX sees [N, features] whatever the inputs are; null: never
};

/// The row of the table for this node.
const ModelFacet& model_facet(const Node& node);

/// Defined in the rooms, host/primitives/<name>/model.cpp.
namespace model_facets {
extern const ModelFacet input, layer, batch_norm, table, combine, window, move, mix, product, normalise;
}

}  // namespace qnudge
