// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "qnudge/core/shape.hpp"

namespace qnudge {

/// An operand of a combination: its shape, and whether every image has one of its own.
struct CombineOperand {
  Shape shape;
  bool per_image = true;
};

/// The elements of [N, H, W, C] as few rows: axes are merged where both operands allow it.
class CombineRows {
 public:
  CombineRows(std::int64_t images, const Shape& out, const CombineOperand& a, const CombineOperand& b) {
    const std::int64_t extents[] = {images, out.h, out.w, out.c};
    const Steps step_a = steps(out, a), step_b = steps(out, b);
    for (std::size_t i = 0; i < 4; ++i) {
      if (extents[i] == 1) continue;
      Axis* const outer = count_ == 0 ? nullptr : &axes_[count_ - 1];
      if (outer != nullptr && outer->a == step_a[i] * extents[i] && outer->b == step_b[i] * extents[i]) {
        *outer = {outer->extent * extents[i], step_a[i], step_b[i]};
      } else {
        axes_[count_++] = {extents[i], step_a[i], step_b[i]};
      }
    }
    if (count_ == 0) axes_[count_++] = {1, 1, 1};
  }

  /// row(first of a, first of b, first of the result, elements, step of a, step of b); steps are 0 or 1.
  template <class F>
  void for_each(const F& row) const {
    std::int64_t at = 0;
    visit(row, 0, 0, 0, at);
  }

 private:
  struct Axis {
    std::int64_t extent, a, b;
  };
  using Steps = std::array<std::int64_t, 4>;

  static Steps steps(const Shape& out, const CombineOperand& x) {
    const Shape& s = x.shape;
    return {x.per_image ? s.size() : 0, s.h == 1 && out.h > 1 ? 0 : s.w * s.c, s.w == 1 && out.w > 1 ? 0 : s.c,
            s.c == 1 && out.c > 1 ? 0 : 1};
  }

  template <class F>
  void visit(const F& row, std::size_t level, std::int64_t a, std::int64_t b, std::int64_t& at) const {
    const Axis& axis = axes_[level];
    if (level + 1 == count_) {  // the innermost axis of a dense tensor: steps are 0 or 1
      row(a, b, at, axis.extent, axis.a, axis.b);
      at += axis.extent;
      return;
    }
    for (std::int64_t i = 0; i < axis.extent; ++i, a += axis.a, b += axis.b) visit(row, level + 1, a, b, at);
  }

  std::array<Axis, 4> axes_{};
  std::size_t count_ = 0;
};

}  // namespace qnudge
