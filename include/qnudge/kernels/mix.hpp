// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/activation.hpp"
#include "qnudge/kernels/strided.hpp"
#include "qnudge/quant/resize_tap.hpp"

namespace qnudge {

/// sum / 2^bits, half to even; sum + 2^(bits - 1) fits.
QNUDGE_HOST_DEVICE std::int32_t rounded_shift(std::int32_t sum, int bits) {
  return (sum + ((1 << (bits - 1)) - 1) + ((sum >> bits) & 1)) >> bits;
}

/// Linear interpolation along rows and columns: four taps, weights that are integers, one rounding. The output's codes
/// have the input's scale.
template <class T>
struct ResizeCodes {
  using A = Activation<T>;
  const T* x;
  T* code;          ///< [N, OH, OW, P, C], dense
  Extents extents;  ///< of the output
  Strides at_x;
  const ResizeTap *rows, *columns;  ///< [OH], [OW]

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Place to = extents.place(i);
    const ResizeTap &row = rows[to.y], &column = columns[to.x];
    const auto at = [&](std::int32_t y, std::int32_t x_at) {
      return A::value(x[at_x.at({to.n, y, x_at, to.p, to.c})]);
    };
    const auto across = [&](std::int32_t y) {
      return at(y, column.first) * static_cast<typename A::Sum>(column.weight_first) +
             at(y, column.second) * static_cast<typename A::Sum>(column.weight_second);
    };
    code[i] = rounded(across(row.first) * static_cast<typename A::Sum>(row.weight_first) +
                      across(row.second) * static_cast<typename A::Sum>(row.weight_second));
  }

 private:
  QNUDGE_HOST_DEVICE static std::int8_t rounded(std::int32_t sum) {
    return static_cast<std::int8_t>(rounded_shift(sum, 2 * kResizeBits));
  }
  QNUDGE_HOST_DEVICE static Half rounded(float sum) {
    return A::nearest(sum * (1.0f / static_cast<float>(kResizeOne) / static_cast<float>(kResizeOne)), A::kLowest,
                      A::kHighest);
  }
};

/// Local response normalisation: code = nearest(x * table[S]), S the exact sum of squared codes over the channels
/// c - before ... c + after that exist; table[S] = (bias + alpha / size * S * s_x^2)^-beta * s_x / s_out, rounded once.
struct LocalResponseCodes {
  const std::int8_t* x;
  std::int8_t* code;  ///< dense
  Extents extents;
  Strides at_x;
  std::int64_t before, after;  ///< channels on either side
  const float* table;          ///< [(before + after + 1) * 2^14 + 1]
  std::int32_t low, high;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Place to = extents.place(i);
    const std::int8_t* channels = x + at_x.at({to.n, to.y, to.x, to.p, 0});
    const std::int64_t first = to.c > before ? to.c - before : 0;
    const std::int64_t last = to.c + after < extents.c ? to.c + after : extents.c - 1;
    std::int32_t sum = 0;
    for (std::int64_t c = first; c <= last; ++c) {
      const std::int32_t v = channels[c * at_x.c];
      sum += v * v;
    }
    code[i] = to_code(static_cast<float>(channels[to.c * at_x.c]) * table[sum], low, high);
  }
};

/// The same for halves: scale = alpha / size * s_x^2, unit = s_x / s_out; the power is the machine's own.
struct LocalResponseHalves {
  const Half* x;
  Half* code;
  Extents extents;
  Strides at_x;
  std::int64_t before, after;
  float bias, scale, beta, unit;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const Place to = extents.place(i);
    const Half* channels = x + at_x.at({to.n, to.y, to.x, to.p, 0});
    const std::int64_t first = to.c > before ? to.c - before : 0;
    const std::int64_t last = to.c + after < extents.c ? to.c + after : extents.c - 1;
    float sum = 0;
    for (std::int64_t c = first; c <= last; ++c) {
      const float v = to_float(channels[c * at_x.c]);
      sum += v * v;
    }
    const float y = to_float(channels[to.c * at_x.c]) * powf(bias + scale * sum, -beta) * unit;
    code[i] = Activation<Half>::nearest(y, -kLargestHalf, kLargestHalf);
  }
};

}  // namespace qnudge
