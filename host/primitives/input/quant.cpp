// SPDX-License-Identifier: MIT
#include "host/quant/primitives.hpp"

namespace qnudge {

void quant_facets::lower_input(Lowering& lowering, int i) {
  lowering.append(IntInput{}, i);
}

const QuantFacet quant_facets::input = {
    .kind = [](const IntNode&) -> std::string_view { return "input"; },
    .bounds = [](const IntNode&, std::span<const CodeBounds>) { return CodeBounds{}; }};

}  // namespace qnudge
