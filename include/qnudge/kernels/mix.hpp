// SPDX-License-Identifier: MIT
#pragma once

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

}  // namespace qnudge
