// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// Threads that work on one thing together: a block or a warp on a device, one thread here. Every member calls the same
/// functions in the same order; what a member writes, others may read after `sync`. All results are the same for every
/// member.
struct SerialTeam {
  /// Whether `scratch()` is fast memory of the team's own, of the size that an op says it can use by `scratch_bytes()`,
  /// aligned to 8 bytes.
  static constexpr bool kScratch = false;
  QNUDGE_HOST_DEVICE std::int64_t size() const { return 1; }
  QNUDGE_HOST_DEVICE std::int64_t rank() const { return 0; }
  QNUDGE_HOST_DEVICE void sync() const {}
  /// Smallest i in [begin, end) with holds(i), or end.
  template <class Predicate>
  QNUDGE_HOST_DEVICE std::int64_t first_where(std::int64_t begin, std::int64_t end, const Predicate& holds) const {
    while (begin < end && !holds(begin)) ++begin;
    return begin;
  }
  /// Sum, and largest, of the members' values.
  QNUDGE_HOST_DEVICE std::int64_t sum(std::int64_t value) const { return value; }
  QNUDGE_HOST_DEVICE std::int64_t largest(std::int64_t value) const { return value; }
};

}  // namespace qnudge
