// SPDX-License-Identifier: MIT
#include "primitives.hpp"

#include <array>

namespace qnudge {
namespace {

using namespace quant_facets;

/// In the order of IntPrimitive.
constexpr std::array<const QuantFacet*, std::variant_size_v<IntPrimitive>> kFacets = {
    &input, &layer, &table, &combine, &window, &move, &mix, &product, &normalise};
/// In the order of FloatPrimitive; both spellings of a layer become one.
constexpr std::array<void (*)(Lowering&, int), std::variant_size_v<FloatPrimitive>> kLower = {
    lower_input,  lower_layer, lower_layer, lower_table,   lower_combine,
    lower_window, lower_move,  lower_mix,   lower_product, lower_normalise};

}  // namespace

const QuantFacet& quant_facet(const IntNode& node) {
  return *kFacets[node.what.index()];
}

void lower_node(Lowering& lowering, int i) {
  kLower[lowering.at(i).what.index()](lowering, i);
}

std::string_view kind_of(const IntNode& node) {
  return quant_facet(node).kind(node);
}

std::optional<std::array<float, 2>> sum_multipliers(const IntNode& node) {
  const auto sum = quant_facet(node).sum;
  return sum == nullptr ? std::nullopt : sum(node);
}

std::vector<CodeBounds> code_bounds(const IntNetwork& network) {
  std::vector<CodeBounds> all;
  for (const IntNode& node : network.nodes) {
    std::vector<CodeBounds> inputs;
    for (const int in : node.inputs) inputs.push_back(all[static_cast<std::size_t>(in)]);
    all.push_back(quant_facet(node).bounds(node, inputs));
  }
  return all;
}

}  // namespace qnudge
