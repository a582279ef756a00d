// SPDX-License-Identifier: MIT
#include <span>

#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

const IntTable& table_of(const IntNode& node) {
  return std::get<IntTable>(node.what);
}

template <class T>
void append(const DeviceStep& step) {
  if (table_of(step.node()).function.is_identity()) {
    const auto [low, high] = element_bounds<T>(step.node());
    step.for_each(ClampCodes<T>{step.in<T>(0), step.out<T>(), low, high}, step.count());
  } else if (!table_of(step.node()).parameters.empty()) {
    step.for_each(
        LookupChannelCodes<T>{step.in<T>(0), step.network.constants<T>(step.index), step.out<T>(), step.node().shape.c},
        step.count());
  } else {
    step.for_each(LookupCodes<T>{step.in<T>(0), step.network.constants<T>(step.index), step.out<T>()}, step.count());
  }
}

std::optional<std::string> reject(const IntNetwork&, const IntNode& node, bool flattened) {
  return flattened && !table_of(node).parameters.empty() ? std::optional(flattened_has_no_form(node)) : std::nullopt;
}

std::vector<std::byte> constants(const IntNetwork& network, const IntNode& node) {
  const IntTable& table = table_of(node);
  const auto bytes = network.half() ? std::as_bytes(std::span(table.halves)) : std::as_bytes(std::span(table.codes));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

const DeviceFacet device_facets::table = {.codes = append<std::int8_t>,
                                          .halves = append<Half>,
                                          .keeps_form = [](const IntNode&) { return true; },
                                          .reject = reject,
                                          .constants = constants,
                                          .constants_name = "table"};

}  // namespace qnudge::cuda
