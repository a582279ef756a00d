// SPDX-License-Identifier: MIT
#include "float_ops.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "vector_levels.hpp"

namespace qnudge {

QNUDGE_VECTOR_LEVELS float largest_magnitude(const float* x, std::int64_t count) {
  std::int32_t largest = 0;  // without the sign, the order of the bits is that of the values, infinity, NaN
  for (std::int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
  }
  return std::bit_cast<float>(largest);
}

QNUDGE_VECTOR_LEVELS double squared_error(const float* x, std::int64_t count, float step) {
  constexpr std::int64_t kLanes = 16;  // sums side by side, added up at the end: one order on every machine
  double sums[kLanes] = {};
  const float inverse = 1.0f / step;
  const auto error = [&](float v) {
    const float scaled = v * inverse;
    const float low = scaled > -128.0f ? scaled : -128.0f;
    const float d = v - round_half_even(low < 127.0f ? low : 127.0f) * step;
    return static_cast<double>(d) * static_cast<double>(d);
  };
  const std::int64_t whole = count / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    for (std::int64_t j = 0; j < kLanes; ++j) sums[j] += error(x[i + j]);
  }
  for (std::int64_t i = whole; i < count; ++i) sums[i - whole] += error(x[i]);
  return std::accumulate(sums, sums + kLanes, 0.0);
}

QNUDGE_VECTOR_LEVELS void channel_sums(const float* x, std::int64_t positions, std::int64_t channels, double* sums) {
  std::fill_n(sums, channels, 0.0);
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t c = 0; c < channels; ++c) sums[c] += static_cast<double>(x[p * channels + c]);
  }
}

void sample_positions(const FloatSamples& wanted, std::int64_t first, std::int64_t images, const Shape& shape,
                      const float* values) {
  const double scale = std::ldexp(1.0, -wanted.exponent);
  for (std::int64_t row = 0; row < images * wanted.per_image; ++row) {
    const std::int64_t at = first * wanted.per_image + row;
    const std::int64_t position = wanted.positions[static_cast<std::size_t>(at)];
    const float* const from = values + row / wanted.per_image * shape.size() + position * shape.c;
    std::int16_t* const to = wanted.values.data() + at * shape.c;
    for (std::int64_t c = 0; c < shape.c; ++c) {
      const double steps = std::isnan(from[c]) ? 0.0 : static_cast<double>(from[c]) * scale;
      to[c] = static_cast<std::int16_t>(std::nearbyint(std::clamp(steps, -1.0 * kTargetLimit, 1.0 * kTargetLimit)));
    }
  }
}

}  // namespace qnudge
