// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/activation.hpp"
#include "qnudge/kernels/strided.hpp"
#include "qnudge/model/combine_kind.hpp"

namespace qnudge {

/// Two elements become one, with one rounding. m_a and m_b are powers of two, so that both scaled operands are exact;
/// for products and quotients m_a alone scales.
///
///   add, subtract      a * m_a +- b * m_b
///   minimum, maximum   of a * m_a and b * m_b
///   multiply           float(a * b) * m_a: the product of codes is exact
///   divide             (float(a) / float(b)) * m_a: one more rounding; a / 0 is the bound of a's sign, 0 / 0 is 0
template <class T>
struct CombineRule {
  using A = Activation<T>;
  CombineKind kind;
  float m_a, m_b;
  typename A::Bound low, high;

  QNUDGE_HOST_DEVICE T operator()(T a, T b) const { return A::nearest(value(a, b), low, high); }

  QNUDGE_HOST_DEVICE float value(T a, T b) const {
    const auto u = static_cast<float>(A::value(a)), v = static_cast<float>(A::value(b));
    switch (kind) {
      case CombineKind::add:
        return u * m_a + v * m_b;
      case CombineKind::subtract:
        return u * m_a - v * m_b;
      case CombineKind::multiply:
        return u * v * m_a;
      case CombineKind::divide:
        return v == 0.0f ? (u == 0.0f ? 0.0f : u * kBeyond) : u / v * m_a;
      case CombineKind::minimum:
        return u * m_a < v * m_b ? u * m_a : v * m_b;
      case CombineKind::maximum:
        break;
    }
    return u * m_a > v * m_b ? u * m_a : v * m_b;
  }

 private:
  static constexpr float kBeyond = 1e30f;  // beyond every bound, of either sign
};

/// code[i] = rule(a, b) over [N, H, W, P, C]; either operand may be broadcast.
template <class T>
struct CombineCodes {
  const T *a, *b;
  T* code;  ///< dense; may be an operand that is not broadcast
  Extents extents;
  Strides at_a, at_b;
  CombineRule<T> rule;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Place place = extents.place(i);
    code[i] = rule(a[at_a.at(place)], b[at_b.at(place)]);
  }
};

}  // namespace qnudge
