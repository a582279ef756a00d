// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "lowering.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// What the quant layer knows of a primitive of the integer network. A null pointer: the answer that its comment names.
struct QuantFacet {
  std::string_view (*kind)(const IntNode&);
  /// What the node can put out; its derived parts may still be missing.
  CodeBounds (*bounds)(const IntNode&, std::span<const CodeBounds> inputs);
  /// Whether output codes are codes of the inputs, so that all share one scale (null: no).
  bool (*passes_codes)(const IntNode&) = nullptr;
  /// The largest |value|, where it is known beforehand and the scale is to hold it (null: never).
  std::optional<float> (*range)(const IntNode&) = nullptr;
  /// Sets what follows from the exponents, bounds apart (null: nothing).
  void (*derive)(const IntNetwork&, IntNode&) = nullptr;
  /// See sum_multipliers (null: no sum).
  std::optional<std::array<float, 2>> (*sum)(const IntNode&) = nullptr;
};

/// The smallest exponent whose codes hold values up to `range`, 127 steps of it, within kExponentLimit.
int exponent_of(double range);

/// The row of the table for this node.
const QuantFacet& quant_facet(const IntNode& node);

/// Appends what float node `i` becomes; it stands for none yet, its inputs do.
void lower_node(Lowering& lowering, int i);

/// Defined in the rooms, host/primitives/<name>/quant.cpp.
namespace quant_facets {
extern const QuantFacet input, layer, table, combine, window, move, mix, product, normalise;
void lower_input(Lowering& lowering, int i);
void lower_layer(Lowering& lowering, int i);
void lower_table(Lowering& lowering, int i);
void lower_combine(Lowering& lowering, int i);
void lower_window(Lowering& lowering, int i);
void lower_move(Lowering& lowering, int i);
void lower_mix(Lowering& lowering, int i);
void lower_product(Lowering& lowering, int i);
void lower_normalise(Lowering& lowering, int i);
}  // namespace quant_facets

}  // namespace qnudge
