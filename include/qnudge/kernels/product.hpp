// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/activation.hpp"
#include "qnudge/kernels/strided.hpp"

namespace qnudge {

/// Matrix product of two activations: y[n, h, i, j] = sum over k of a[n, h, i, k] * b[n, h, k, j], a product for every
/// row h (an attention head). Sums of codes are exact below 2^17 terms; code = nearest(float(sum) * m, low, high).
template <class T>
struct ProductCodes {
  using A = Activation<T>;
  const T *a, *b;
  T* code;          ///< [N, H, I, P, J], dense
  Extents extents;  ///< H, I, P, J
  std::int64_t depth;
  Strides at_a;  ///< of [N, H, I, P, K]
  /// Of b as [N, H, K, P, J]: x counts depth and c columns. Where b lies as [N, H, J, K], x and c change places.
  Strides at_b;
  float m;
  typename A::Bound low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Place to = extents.place(i);
    const T* row = a + at_a.at({to.n, to.y, to.x, to.p, 0});
    const T* column = b + at_b.at({to.n, to.y, 0, to.p, to.c});
    typename A::Sum sum = 0;
    for (std::int64_t k = 0; k < depth; ++k) sum += A::value(row[k * at_a.c]) * A::value(column[k * at_b.x]);
    code[i] = A::nearest(static_cast<float>(sum) * m, low, high);
  }
};

}  // namespace qnudge
