// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Index before spreading of position `at` on an axis spread by `spread`; -1 in the padding and between inputs, where
/// the tap reads a zero.
QNUDGE_HOST_DEVICE std::int64_t unspread(std::int64_t at, std::int64_t spread, std::int64_t extent) {
  if (spread == 1) return at < extent ? (at < 0 ? -1 : at) : -1;  // nearly always: spares the divisions
  if (at < 0 || at % spread != 0) return -1;
  const std::int64_t index = at / spread;
  return index < extent ? index : -1;
}

}  // namespace qnudge
