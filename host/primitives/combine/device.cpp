// SPDX-License-Identifier: MIT
#include <array>
#include <span>

#include "cuda/engine/primitives.hpp"

namespace qnudge::cuda {
namespace {

const IntCombine& combine_of(const IntNode& node) {
  return std::get<IntCombine>(node.what);
}

template <class T>
struct Operand {
  const T* values;
  Strides strides;
};

/// Operands in the order in which they are combined, the constant among them.
template <class T>
std::array<Operand<T>, 2> operands(const DeviceStep& step, const Extents& whole) {
  const IntCombine& combine = combine_of(step.node());
  const auto input = [&](std::size_t i) {
    const Extents own = Extents::of(step.physical(i), step.shared[i] ? 1 : step.candidates);
    return Operand<T>{step.in<T>(i), Strides::broadcast(own, whole)};
  };
  if (combine.constant.empty()) return {input(0), input(1)};
  Operand<T> constant{step.network.constants<T>(step.index),
                      Strides::broadcast(Extents::of(combine.constant_shape), whole)};
  constant.strides.n = 0;
  return combine.constant_first ? std::array{constant, input(0)} : std::array{input(0), constant};
}

template <class T>
void append_sum(const DeviceStep& step) {
  const auto [low, high] = element_bounds<T>(step.node());
  const IntCombine& combine = combine_of(step.node());
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

template <class T>
void append(const DeviceStep& step) {
  const IntCombine& combine = combine_of(step.node());
  if (combine.plain_sum()) return append_sum<T>(step);
  const auto [low, high] = element_bounds<T>(step.node());
  const Extents whole = Extents::of(step.network.physical(step.index), step.candidates);
  const auto [a, b] = operands<T>(step, whole);
  step.for_each(CombineCodes<T>{a.values, b.values, step.out<T>(), whole, a.strides, b.strides,
                                CombineRule<T>{combine.kind, combine.multiplier_a, combine.multiplier_b, low, high}},
                step.count());
}

/// Candidates stand between the pixels and channels of a flattened tensor, so that only one of the same form can meet
/// it.
std::optional<std::string> reject(const IntNetwork& network, const IntNode& node, bool flattened) {
  const IntCombine& combine = combine_of(node);
  const std::vector<Shape> physical = physical_shapes(network);
  const auto lies = [&](std::size_t i) { return physical[static_cast<std::size_t>(node.inputs[i])]; };
  const auto moved = [&](std::size_t i) { return lies(i) != network.at(node.inputs[i]).shape; };
  const bool plain = !combine.broadcast && combine.constant.empty();
  const bool differ = node.inputs.size() == 2 && (plain ? lies(0) != lies(1) : moved(1));
  return differ || (flattened && !plain) ? std::optional(flattened_has_no_form(node)) : std::nullopt;
}

std::vector<std::byte> constants(const IntNetwork& network, const IntNode& node) {
  const IntCombine& combine = combine_of(node);
  const auto bytes =
      network.half() ? std::as_bytes(std::span(combine.halves)) : std::as_bytes(std::span(combine.codes));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

const DeviceFacet device_facets::combine = {
    .codes = append<std::int8_t>,
    .halves = append<Half>,
    .keeps_form = [](const IntNode& node) { return !combine_of(node).broadcast && combine_of(node).constant.empty(); },
    .reject = reject,
    .constants = constants,
    .constants_name = "constant"};

}  // namespace qnudge::cuda
