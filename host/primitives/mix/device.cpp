// SPDX-License-Identifier: MIT
#include <span>

#include "cuda/engine/primitives.hpp"
#include "quant_taps.hpp"

namespace qnudge::cuda {
namespace {

template <class T>
void append(const DeviceStep& step) {
  const Shape &in = step.physical(0), &out = step.node().shape;
  Strides from = Strides::dense(Extents::of(in, step.shared[0] ? 1 : step.candidates));
  if (step.shared[0]) from.p = 0;
  const auto* const rows = step.network.constants<ResizeTap>(step.index);
  step.for_each(
      ResizeCodes<T>{step.in<T>(0), step.out<T>(), Extents::of(out, step.candidates), from, rows, rows + out.h},
      step.count());
}

std::optional<std::string> reject(const IntNetwork&, const IntNode& node, bool flattened) {
  return flattened ? std::optional(flattened_has_no_form(node)) : std::nullopt;
}

/// Rows, then columns.
std::vector<std::byte> constants(const IntNetwork& network, const IntNode& node) {
  MixTaps taps = mix_taps(network, node);
  taps.rows.insert(taps.rows.end(), taps.columns.begin(), taps.columns.end());
  const auto bytes = std::as_bytes(std::span(taps.rows));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

const DeviceFacet device_facets::mix = {.codes = append<std::int8_t>,
                                        .halves = append<Half>,
                                        .reject = reject,
                                        .constants = constants,
                                        .constants_name = "taps"};

}  // namespace qnudge::cuda
