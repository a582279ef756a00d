// SPDX-License-Identifier: MIT
#include <cmath>

#include "host/quant/primitives.hpp"
#include "model_onnx.hpp"
#include "qnudge/core/error.hpp"
#include "quant_taps.hpp"

namespace qnudge {
namespace {

std::vector<ResizeTap> taps(const ResizeAxis& axis) {
  std::vector<ResizeTap> all;
  for (const ResizeNeighbours& at : resize_neighbours(axis)) {
    const auto weight = static_cast<std::int32_t>(std::nearbyint(at.part * static_cast<float>(kResizeOne)));
    all.push_back(
        {static_cast<std::int32_t>(at.first), static_cast<std::int32_t>(at.second), kResizeOne - weight, weight});
  }
  return all;
}

}  // namespace

MixTaps mix_taps(const IntNetwork& network, const IntNode& node) {
  const auto axes = mix_axes(std::get<IntMix>(node.what).mix, network.at(node.inputs[0]).shape);
  require(axes.has_value(), ErrorKind::internal, "node '{}': its scales do not fit", node.name);
  return {taps(axes->rows), taps(axes->columns)};
}

void quant_facets::lower_mix(Lowering& lowering, int i) {
  lowering.append(IntMix{std::get<FloatMix>(lowering.at(i).what)}, i);
}

/// Weights add up to one: what comes out lies between codes of the input.
const QuantFacet quant_facets::mix = {
    .kind = [](const IntNode&) -> std::string_view { return "resize"; },
    .bounds = [](const IntNode&, std::span<const CodeBounds> inputs) { return inputs[0]; },
    .passes_codes = [](const IntNode&) { return true; }};

}  // namespace qnudge
