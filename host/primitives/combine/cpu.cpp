// SPDX-License-Identifier: MIT
#include <array>

#include "cpu_rows.hpp"
#include "host/cpu/elementwise_loops.hpp"
#include "host/cpu/primitives.hpp"
#include "host/cpu/vector_levels.hpp"
#include "qnudge/backend/element.hpp"
#include "qnudge/kernels/combine.hpp"

namespace qnudge {
namespace {

/// y[i] = f(a[i * step_a], b[i * step_b]), steps 0 or 1.
template <class In, class Out, class F>
inline __attribute__((always_inline)) void each(const In* a, std::int64_t step_a, const In* b, std::int64_t step_b,
                                                std::int64_t count, Out* y, const F& f) {
  if (step_a == 1 && step_b == 1) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], b[i]);
  } else if (step_a == 1) {
    const In v = *b;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(a[i], v);
  } else {
    const In u = *a;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) y[i] = f(u, b[i * step_b]);
  }
}

/// Calls `loop` with a constant for each kind, so that the loop holds no choice.
template <class F>
inline __attribute__((always_inline)) void with_kind(CombineKind kind, const F& loop) {
  switch (kind) {
    case CombineKind::add:
      return loop([] { return CombineKind::add; });
    case CombineKind::subtract:
      return loop([] { return CombineKind::subtract; });
    case CombineKind::multiply:
      return loop([] { return CombineKind::multiply; });
    case CombineKind::divide:
      return loop([] { return CombineKind::divide; });
    case CombineKind::minimum:
      return loop([] { return CombineKind::minimum; });
    case CombineKind::maximum:
      return loop([] { return CombineKind::maximum; });
  }
}

template <class T>
inline __attribute__((always_inline)) void combine_codes(const CombineRule<T>& rule, const T* a, std::int64_t step_a,
                                                         const T* b, std::int64_t step_b, std::int64_t count, T* y) {
  with_kind(
      rule.kind, [&](auto kind) __attribute__((always_inline)) {
        const CombineRule<T> fixed{kind(), rule.m_a, rule.m_b, rule.low, rule.high};
        each(a, step_a, b, step_b, count, y, [&](T u, T v) { return fixed(u, v); });
      });
}

QNUDGE_VECTOR_LEVELS void combine_row(const CombineRule<std::int8_t>& rule, const std::int8_t* a, std::int64_t step_a,
                                      const std::int8_t* b, std::int64_t step_b, std::int64_t count, std::int8_t* y) {
  combine_codes(rule, a, step_a, b, step_b, count, y);
}
QNUDGE_VECTOR_LEVELS void combine_row(const CombineRule<Half>& rule, const Half* a, std::int64_t step_a, const Half* b,
                                      std::int64_t step_b, std::int64_t count, Half* y) {
  combine_codes(rule, a, step_a, b, step_b, count, y);
}

inline float combined(CombineKind kind, float u, float v) {
  switch (kind) {
    case CombineKind::add:
      return u + v;
    case CombineKind::subtract:
      return u - v;
    case CombineKind::multiply:
      return u * v;
    case CombineKind::divide:
      return u / v;
    case CombineKind::minimum:
      return v < u ? v : u;
    case CombineKind::maximum:
      break;
  }
  return v > u ? v : u;
}

QNUDGE_VECTOR_LEVELS void combine_row(CombineKind kind, const float* a, std::int64_t step_a, const float* b,
                                      std::int64_t step_b, std::int64_t count, float* y) {
  with_kind(
      kind, [&](auto fixed) __attribute__((always_inline)) {
        each(a, step_a, b, step_b, count, y, [&](float u, float v) { return combined(fixed(), u, v); });
      });
}

/// Operands in the order in which they are combined: index of an input, or -1 for the constant.
template <class Combine>
std::array<int, 2> operand_order(const Combine& combine) {
  if (combine.constant.empty()) return {0, 1};
  return combine.constant_first ? std::array{-1, 0} : std::array{0, -1};
}

template <class Combine, class ShapeOf>
CombineRows rows_of(const Combine& combine, const ShapeOf& input, std::int64_t images, const Shape& out) {
  const auto operand = [&](int which) {
    return which < 0 ? CombineOperand{combine.constant_shape, false} : CombineOperand{input(which), true};
  };
  const auto [a, b] = operand_order(combine);
  return {images, out, operand(a), operand(b)};
}

class FloatCombineStep : public FloatStep {
 public:
  FloatCombineStep(const Node& node, std::span<const Shape> in, std::int64_t images)
      : combine_(std::get<FloatCombine>(node.what)),
        rows_(rows_of(
            combine_, [&](int i) { return in[static_cast<std::size_t>(i)]; }, images, node.shape)) {}

  void run(std::span<const float* const> inputs, float* y, std::byte*) const override {
    const auto operand = [&](int which) {
      return which < 0 ? combine_.constant.data() : inputs[static_cast<std::size_t>(which)];
    };
    const auto [first, second] = operand_order(combine_);
    const float *const a = operand(first), *const b = operand(second);
    rows_.for_each(
        [&](std::int64_t at_a, std::int64_t at_b, std::int64_t at, std::int64_t count, std::int64_t step_a,
            std::int64_t step_b) { combine_row(combine_.kind, a + at_a, step_a, b + at_b, step_b, count, y + at); });
  }

 private:
  const FloatCombine& combine_;
  const CombineRows rows_;
};

template <class T>
const T* constant_of(const IntCombine& combine) {
  if constexpr (std::is_same_v<T, Half>) {
    return combine.halves.data();
  } else {
    return combine.codes.data();
  }
}

template <class T>
class CombineStep : public TileStep {
 public:
  CombineStep(const IntNetwork& network, const IntNode& node, std::int64_t images)
      : combine_(std::get<IntCombine>(node.what)),
        rows_(rows_of(
            combine_, [&](int i) { return network.at(node.inputs[static_cast<std::size_t>(i)]).shape; }, images,
            node.shape)),
        bounds_(element_bounds<T>(node)),
        count_(images * node.shape.size()) {}

  void run(const Tensors& at) const override {
    if (combine_.plain_sum()) {
      return run_range(AddCodes<T>{at.in<T>(0), at.in<T>(1), at.out<T>(), combine_.multiplier_a, combine_.multiplier_b,
                                   bounds_.low, bounds_.high},
                       count_);
    }
    const CombineRule<T> rule{combine_.kind, combine_.multiplier_a, combine_.multiplier_b, bounds_.low, bounds_.high};
    const auto operand = [&](int which) {
      return which < 0 ? constant_of<T>(combine_) : at.in<T>(static_cast<std::size_t>(which));
    };
    const auto [first, second] = operand_order(combine_);
    const T *const a = operand(first), *const b = operand(second);
    rows_.for_each(
        [&](std::int64_t at_a, std::int64_t at_b, std::int64_t to, std::int64_t count, std::int64_t step_a,
            std::int64_t step_b) { combine_row(rule, a + at_a, step_a, b + at_b, step_b, count, at.out<T>() + to); });
  }

 private:
  const IntCombine& combine_;
  const CombineRows rows_;
  const ElementBounds<T> bounds_;
  const std::int64_t count_;
};

}  // namespace

const FloatFacet cpu_facets::combine = {
    .prepare = [](const Node& node, std::span<const Shape> in, std::int64_t images) -> std::unique_ptr<FloatStep> {
      return std::make_unique<FloatCombineStep>(node, in, images);
    },
    .in_place = [](const Node&) { return true; }};

std::unique_ptr<TileStep> cpu_facets::tile_combine(const IntNetwork& network, const IntNode& node,
                                                   std::int64_t images) {
  return tile_step<CombineStep>(network, node, images);
}

}  // namespace qnudge
