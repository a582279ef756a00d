// SPDX-License-Identifier: MIT
#include <algorithm>

#include "host/quant/primitives.hpp"

namespace qnudge {
namespace {

CodeBounds bounds(const IntNode&, std::span<const CodeBounds> inputs) {
  CodeBounds all = inputs[0];
  for (const CodeBounds& in : inputs) all = {std::min(all.low, in.low), std::max(all.high, in.high)};
  return all;
}

}  // namespace

void quant_facets::lower_move(Lowering& lowering, int i) {
  lowering.append(IntMove{std::get<FloatMove>(lowering.at(i).what).map}, i);
}

const QuantFacet quant_facets::move = {
    .kind = [](const IntNode& node) -> std::string_view { return node.view() ? "view" : "concat"; },
    .bounds = bounds,
    .passes_codes = [](const IntNode&) { return true; }};

}  // namespace qnudge
