// SPDX-License-Identifier: MIT
#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

template <class T>
void append(const DeviceStep& step) {
  const auto [low, high] = element_bounds<T>(step.node());
  const auto& combine = std::get<IntCombine>(step.node().what);
  const float m[] = {combine.multiplier_a, combine.multiplier_b};
  if (step.candidates == 1 || step.shared[0] == step.shared[1]) {
    step.for_each(AddCodes<T>{step.in<T>(0), step.in<T>(1), step.out<T>(), m[0], m[1], low, high}, step.count());
    return;
  }
  const std::size_t own = step.shared[0] ? 1 : 0;
  step.for_each(AddSharedCodes<T>{step.in<T>(own), step.in<T>(1 - own), step.out<T>(), m[own], m[1 - own],
                                  step.candidates, step.network.physical(step.index).c, low, high},
                step.count());
}

}  // namespace

const DeviceFacet device_facets::combine = {
    .codes = append<std::int8_t>, .halves = append<Half>, .keeps_form = [](const IntNode&) { return true; }};

}  // namespace qnudge::cuda
