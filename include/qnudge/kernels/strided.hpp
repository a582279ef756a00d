// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"

namespace qnudge {

/// One element of a tensor [N, H, W, P, C]: image, row, column, candidate, channel. P is 1 where there are no
/// candidates.
struct Place {
  std::int64_t n, y, x, p, c;
};

/// Extents of [H, W, P, C], for taking element numbers apart.
struct Extents {
  std::int64_t h, w, p, c;

  QNUDGE_HOST_DEVICE static Extents of(const Shape& shape, std::int64_t candidates = 1) {
    return {shape.h, shape.w, candidates, shape.c};
  }
  QNUDGE_HOST_DEVICE std::int64_t size() const { return h * w * p * c; }  ///< per image
  QNUDGE_HOST_DEVICE Place place(std::int64_t i) const {
    return {i / (c * p * w * h), i / (c * p * w) % h, i / (c * p) % w, i / c % p, i % c};
  }
};

/// Where elements lie, in elements; 0 along an axis that a tensor is broadcast over.
struct Strides {
  std::int64_t n, y, x, p, c;

  QNUDGE_HOST_DEVICE std::int64_t at(const Place& i) const { return i.n * n + i.y * y + i.x * x + i.p * p + i.c * c; }

  /// Of a dense tensor.
  QNUDGE_HOST_DEVICE static Strides dense(const Extents& e) { return {e.size(), e.w * e.p * e.c, e.p * e.c, e.c, 1}; }
  /// Of a dense tensor of extents `own`, read as if it had the extents `whole`: an axis of extent 1 is broadcast.
  QNUDGE_HOST_DEVICE static Strides broadcast(const Extents& own, const Extents& whole) {
    Strides s = dense(own);
    if (own.h == 1 && whole.h != 1) s.y = 0;
    if (own.w == 1 && whole.w != 1) s.x = 0;
    if (own.p == 1 && whole.p != 1) s.p = 0;
    if (own.c == 1 && whole.c != 1) s.c = 0;
    return s;
  }
};

}  // namespace qnudge
