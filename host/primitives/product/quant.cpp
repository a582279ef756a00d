// SPDX-License-Identifier: MIT
#include <cmath>

#include "host/quant/primitives.hpp"

namespace qnudge {
namespace {

void derive(const IntNetwork& network, IntNode& node) {
  auto& product = std::get<IntProduct>(node.what);
  const int in = network.at(node.inputs[0]).exponent + network.at(node.inputs[1]).exponent;
  product.multiplier = static_cast<float>(std::ldexp(static_cast<double>(product.product.scale), in - node.exponent));
}

}  // namespace

void quant_facets::lower_product(Lowering& lowering, int i) {
  const FloatProduct& what = std::get<FloatProduct>(lowering.at(i).what);
  lowering.absorb_bounds(lowering.append(IntProduct{.product = what}, i), i, true);
}

const QuantFacet quant_facets::product = {.kind = [](const IntNode&) -> std::string_view { return "product"; },
                                          .bounds =
                                              [](const IntNode& node, std::span<const CodeBounds>) {
                                                return CodeBounds{node.low, node.high};
                                              },
                                          .derive = derive};

}  // namespace qnudge
