// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"

namespace qnudge {

/// A number that many indices are divided by, with the multiplication that gives the same quotients: a field of this
/// type makes `i / field` and `i % field` cheap. Exact for every 64-bit index; from 2^31 on, and for negative ones, by
/// an ordinary division.
class Divisor {
 public:
  QNUDGE_HOST_DEVICE Divisor() : Divisor(1) {}
  /// d > 0
  QNUDGE_HOST_DEVICE Divisor(std::int64_t d) : value_(d) {
    if (d >> 31 != 0) return;  // what is below 2^31 has the quotient 0
    std::int32_t bits = 0;     // d in (2^(bits - 1), 2^bits]
    while (std::int64_t{1} << bits < d) ++bits;
    // m = ceil(2^shift / d) is too large by less than d / 2^shift <= 2^-31: too little to reach the next integer.
    shift_ = 31 + bits;
    multiplier_ = static_cast<std::uint32_t>(((std::int64_t{1} << shift_) + d - 1) / d);
  }
  QNUDGE_HOST_DEVICE operator std::int64_t() const { return value_; }

  friend QNUDGE_HOST_DEVICE std::int64_t operator/(std::int64_t i, const Divisor& d) {
    if (static_cast<std::uint64_t>(i) >> 31 != 0) return i / d.value_;
    return d.quotient(static_cast<std::uint32_t>(i));
  }
  friend QNUDGE_HOST_DEVICE std::int64_t operator%(std::int64_t i, const Divisor& d) { return i - i / d * d.value_; }
  /// i >= 0
  friend QNUDGE_HOST_DEVICE std::int32_t operator/(std::int32_t i, const Divisor& d) {
    return static_cast<std::int32_t>(d.quotient(static_cast<std::uint32_t>(i)));
  }
  friend QNUDGE_HOST_DEVICE std::int32_t operator%(std::int32_t i, const Divisor& d) {
    return i - i / d * static_cast<std::int32_t>(d.value_);
  }

 private:
  QNUDGE_HOST_DEVICE std::uint32_t quotient(std::uint32_t i) const {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(i) * multiplier_ >> shift_);
  }
  std::int64_t value_;
  std::uint32_t multiplier_ = 0;
  std::int32_t shift_ = 0;
};

}  // namespace qnudge
