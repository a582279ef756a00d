// SPDX-License-Identifier: MIT
#include <cmath>

#include "host/quant/primitives.hpp"

namespace qnudge {
namespace {

void derive(const IntNetwork& network, IntNode& node) {
  const auto multiplier = [&](std::size_t i) {
    return static_cast<float>(std::ldexp(1.0, network.at(node.inputs[i]).exponent - node.exponent));
  };
  auto& combine = std::get<IntCombine>(node.what);
  combine.multiplier_a = multiplier(0);
  combine.multiplier_b = multiplier(1);
}

std::optional<std::array<float, 2>> sum(const IntNode& node) {
  const auto& combine = std::get<IntCombine>(node.what);
  if (combine.kind != CombineKind::add) return std::nullopt;
  return std::array{combine.multiplier_a, combine.multiplier_b};
}

}  // namespace

void quant_facets::lower_combine(Lowering& lowering, int i) {
  const CombineKind kind = std::get<FloatCombine>(lowering.at(i).what).kind;
  lowering.absorb_bounds(lowering.append(IntCombine{.kind = kind}, i), i, true);
}

const QuantFacet quant_facets::combine = {.kind = [](const IntNode&) -> std::string_view { return "add"; },
                                          .bounds =
                                              [](const IntNode& node, std::span<const CodeBounds>) {
                                                return CodeBounds{node.low, node.high};
                                              },
                                          .derive = derive,
                                          .sum = sum};

}  // namespace qnudge
