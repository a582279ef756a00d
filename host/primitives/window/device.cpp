// SPDX-License-Identifier: MIT
#include <span>

#include "cuda/engine/primitives.hpp"
#include "quant_multipliers.hpp"

namespace qnudge::cuda {
namespace {

template <class T>
void append(const DeviceStep& step) {
  const auto& pool = std::get<IntWindow>(step.node().what);
  // Every candidate's channels are channels of their own to a window.
  Shape from = step.physical(0), to = step.node().shape;
  from.c *= step.candidates;
  to.c *= step.candidates;
  if (pool.kind == WindowKind::max) {
    step.for_each(MaxPoolCodes<T>{step.in<T>(0), step.out<T>(), from, to, pool.window}, step.count());
  } else {
    step.for_each(AveragePoolCodes<T>{step.in<T>(0), step.out<T>(), from, to, pool.window, pool.multiplier,
                                      step.network.constants<float>(step.index)},
                  step.count());
  }
}

std::optional<std::string> reject(const IntNetwork&, const IntNode& node, bool flattened) {
  return flattened ? std::optional(flattened_has_no_form(node)) : std::nullopt;
}

std::vector<std::byte> constants(const IntNetwork& network, const IntNode& node) {
  const std::vector<float> varying = pool_multipliers(network, node);
  const auto bytes = std::as_bytes(std::span(varying));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

const DeviceFacet device_facets::window = {.codes = append<std::int8_t>,
                                           .halves = append<Half>,
                                           .reject = reject,
                                           .constants = constants,
                                           .constants_name = "divisors"};

}  // namespace qnudge::cuda
