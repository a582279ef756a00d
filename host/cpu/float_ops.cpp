// SPDX-License-Identifier: MIT
#include "float_ops.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/core/fixed_point.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "vector_levels.hpp"

namespace qnudge {
namespace {

QNUDGE_VECTOR_LEVELS void batch_norm(const Node& node, const float* x, std::int64_t n, float* y) {
  const std::int64_t channels = node.shape.c, positions = n * node.shape.h * node.shape.w;
  const float *scale = node.scale.data(), *shift = node.shift.data();
  for (std::int64_t p = 0; p < positions; ++p) {
#pragma GCC ivdep  // y is x or does not overlap it
    for (std::int64_t c = 0; c < channels; ++c) y[p * channels + c] = x[p * channels + c] * scale[c] + shift[c];
  }
}

QNUDGE_VECTOR_LEVELS void add(const float* a, const float* b, std::int64_t count, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

QNUDGE_VECTOR_LEVELS void clip(const float* x, std::int64_t count, float low, float high, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) y[i] = std::min(std::max(x[i], low), high);
}

void sigmoid(const float* x, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = 1.0f / (1.0f + std::exp(-x[i]));
}

void concat(const Node& node, std::span<const Shape> in, std::span<const float* const> inputs, std::int64_t n,
            float* y) {
  const std::int64_t positions = n * node.shape.h * node.shape.w;
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::size_t i = 0; i < inputs.size(); ++i) y = std::copy_n(inputs[i] + p * in[i].c, in[i].c, y);
  }
}

/// Taps that count in the divisor of the window whose first tap stands at (y0, x0).
std::int64_t divisor(const Node& node, const Shape& in, std::int64_t y0, std::int64_t x0) {
  const Window& w = node.pool;
  const auto inside = [&](std::int64_t first, std::int64_t taps, std::int64_t dilation, std::int64_t extent,
                          std::int64_t before, std::int64_t after) {
    const std::int64_t low = node.count_include_pad ? -before : 0;
    const std::int64_t high = node.count_include_pad ? extent + after : extent;
    std::int64_t count = 0;
    for (std::int64_t t = 0; t < taps; ++t) {
      const std::int64_t at = first + t * dilation;
      count += at >= low && at < high;
    }
    return count;
  };
  const std::int64_t count = inside(y0, w.r, w.dilation_h, in.h, w.pad_top, w.pad_bottom) *
                             inside(x0, w.s, w.dilation_w, in.w, w.pad_left, w.pad_right);
  return std::max<std::int64_t>(1, count);
}

/// One output position of a pooling: y[c] over the window's taps inside the image.
void pool_position(const Node& node, const Shape& in, const float* image, std::int64_t y0, std::int64_t x0, float* y) {
  const bool largest = node.op == Op::max_pool;
  std::fill_n(y, in.c, largest ? -std::numeric_limits<float>::infinity() : 0.0f);
  const Window& w = node.pool;
  for (std::int64_t r = 0; r < w.r; ++r) {
    const std::int64_t iy = y0 + r * w.dilation_h;
    if (iy < 0 || iy >= in.h) continue;
    for (std::int64_t s = 0; s < w.s; ++s) {
      const std::int64_t ix = x0 + s * w.dilation_w;
      if (ix < 0 || ix >= in.w) continue;
      const float* tap = image + (iy * in.w + ix) * in.c;
      if (largest) {
        for (std::int64_t c = 0; c < in.c; ++c) y[c] = std::max(tap[c], y[c]);
      } else {
        for (std::int64_t c = 0; c < in.c; ++c) y[c] += tap[c];
      }
    }
  }
  if (largest) return;
  const auto count = static_cast<float>(divisor(node, in, y0, x0));
  for (std::int64_t c = 0; c < in.c; ++c) y[c] /= count;
}

void pool(const Node& node, const Shape& in, const float* x, std::int64_t n, float* y) {
  const Window& w = node.pool;
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t oy = 0; oy < node.shape.h; ++oy) {
      for (std::int64_t ox = 0; ox < node.shape.w; ++ox, y += in.c) {
        pool_position(node, in, x + i * in.size(), oy * w.stride_h - w.pad_top, ox * w.stride_w - w.pad_left, y);
      }
    }
  }
}

}  // namespace

bool works_in_place(Op op) {
  return op == Op::batch_norm || op == Op::relu || op == Op::clip || op == Op::sigmoid || op == Op::add ||
         op == Op::flatten;
}

void run_float_op(const Node& node, std::span<const Shape> in, std::span<const float* const> inputs, std::int64_t n,
                  float* y) {
  const std::int64_t count = n * node.shape.size();
  switch (node.op) {
    case Op::batch_norm:
      return batch_norm(node, inputs[0], n, y);
    case Op::relu:
      return clip(inputs[0], count, 0.0f, std::numeric_limits<float>::infinity(), y);
    case Op::clip:
      return clip(inputs[0], count, node.clip_low, node.clip_high, y);
    case Op::sigmoid:
      return sigmoid(inputs[0], count, y);
    case Op::add:
      return add(inputs[0], inputs[1], count, y);
    case Op::concat:
      return concat(node, in, inputs, n, y);
    case Op::max_pool:
    case Op::average_pool:
      return pool(node, in[0], inputs[0], n, y);
    case Op::flatten:
      if (y != inputs[0]) std::copy_n(inputs[0], count, y);
      return;
    case Op::input:
    case Op::conv:
    case Op::gemm:
      break;
  }
  fail(ErrorKind::internal, "node '{}' ({}) is not an element-wise or pooling operator", node.name, to_string(node.op));
}

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
