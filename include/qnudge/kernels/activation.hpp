// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/half.hpp"
#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/requantise.hpp"

namespace qnudge {

/// What an element of a tensor between two nodes is: an 8-bit code, or a half. The element rules are written for
/// either.
template <class T>
struct Activation;

template <>
struct Activation<std::int8_t> {
  using Weight = std::int8_t;  ///< of a filter
  using Sum = std::int32_t;    ///< of taps, and of products with weights: exact
  using Bound = std::int32_t;
  static constexpr Bound kLowest = -128, kHighest = 127;

  QNUDGE_HOST_DEVICE static Sum value(std::int8_t v) { return v; }
  QNUDGE_HOST_DEVICE static std::int8_t exactly(Sum v) { return static_cast<std::int8_t>(v); }  ///< of a value
  /// clamp(rint(v), low, high)
  QNUDGE_HOST_DEVICE static std::int8_t nearest(float v, Bound low, Bound high) { return to_code(v, low, high); }
  QNUDGE_HOST_DEVICE static std::int8_t clamped(std::int8_t v, Bound low, Bound high) {
    return static_cast<std::int8_t>(v < low ? low : (v > high ? high : v));
  }
  /// Into a table.
  static constexpr std::int64_t kTableSize = 256;
  QNUDGE_HOST_DEVICE static std::int64_t table_index(std::int8_t v) { return v + 128; }
  /// As an integer that sums exactly in any order.
  QNUDGE_HOST_DEVICE static std::int64_t fixed(std::int8_t v) { return v; }
  static constexpr std::int64_t kFixedOne = 1;
};

template <>
struct Activation<Half> {
  using Weight = Half;
  using Sum = float;
  using Bound = float;
  static constexpr Bound kLowest = -kLargestHalf, kHighest = kLargestHalf;

  QNUDGE_HOST_DEVICE static Sum value(Half v) { return to_float(v); }
  QNUDGE_HOST_DEVICE static Half exactly(Sum v) { return to_half(v); }  ///< of a value
  /// The half nearest to clamp(v, low, high), ties to even.
  QNUDGE_HOST_DEVICE static Half nearest(float v, Bound low, Bound high) {
    const float above = v > low ? v : low;
    return to_half(above < high ? above : high);
  }
  QNUDGE_HOST_DEVICE static Half clamped(Half v, Bound low, Bound high) { return nearest(to_float(v), low, high); }
  static constexpr std::int64_t kTableSize = 65536;
  QNUDGE_HOST_DEVICE static std::int64_t table_index(Half v) { return v.bits; }
  /// In units of 2^-12, of which 2^19 images of 2^14 positions each cannot sum beyond 63 bits.
  QNUDGE_HOST_DEVICE static std::int64_t fixed(Half v) {
    const float steps = to_float(v) * static_cast<float>(kFixedOne);
    return static_cast<std::int64_t>(steps < 0.0f ? steps - 0.5f : steps + 0.5f);
  }
  static constexpr std::int64_t kFixedOne = 4096;
};

/// to[i] = from[i] as half, which holds every code.
struct HalfCodes {
  const std::int8_t* from;
  Half* to;
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { to[i] = to_half(from[i]); }
};

}  // namespace qnudge
