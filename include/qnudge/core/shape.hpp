// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Extent of one sample in NHWC. A one-dimensional signal of length L has h = L, w = 1.
struct Shape {
  std::int64_t h = 1, w = 1, c = 1;

  QNUDGE_HOST_DEVICE std::int64_t size() const { return h * w * c; }
  friend bool operator==(const Shape&, const Shape&) = default;
};

}  // namespace qnudge
