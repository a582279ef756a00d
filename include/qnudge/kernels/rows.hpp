// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/host_device.hpp"
#include "qnudge/core/shape.hpp"
#include "qnudge/kernels/channel_error.hpp"
#include "qnudge/kernels/unspread.hpp"
#include "qnudge/model/geometry.hpp"

/// What a layer reads and gives at the observed output positions of some images: element rules for devices.
namespace qnudge {

/// Input codes of one row per observed position, [G * taps] in G, R, S, C/G order. Row-major for the layer itself to
/// run over; with `transposed` one line per tap, for products of bytes, each group's taps padded to `padded_taps`
/// lines.
struct SampleRows {
  const std::int8_t* x;           ///< [N, H, W, C]
  const std::int32_t* positions;  ///< [rows] y * OW + x
  std::int8_t* to;                ///< [rows, G * taps], or transposed [G * padded_taps, stride]
  Shape in, out;
  FilterShape filter;
  ConvGeometry conv;
  std::int64_t rows, per_image;  ///< rows of all N images
  bool transposed;
  std::int64_t padded_taps, stride;

  QNUDGE_HOST_DEVICE std::int64_t width() const { return conv.groups * filter.taps(); }
  QNUDGE_HOST_DEVICE std::int8_t code(std::int64_t row, std::int64_t column) const {
    const std::int64_t group = column / filter.taps(), tap = column % filter.taps();
    const std::int64_t c = tap % filter.c, s = tap / filter.c % filter.s, r = tap / (filter.c * filter.s);
    const std::int64_t oy = positions[row] / out.w, ox = positions[row] % out.w;
    const Window& w = conv.window;
    const std::int64_t y = unspread(oy * w.stride_h + r * w.dilation_h - w.pad_top, conv.spread_h, in.h);
    const std::int64_t x_at = unspread(ox * w.stride_w + s * w.dilation_w - w.pad_left, conv.spread_w, in.w);
    if (y < 0 || x_at < 0) return 0;
    return x[((row / per_image * in.h + y) * in.w + x_at) * in.c + group * filter.c + c];
  }
  /// i in [0, rows * width())
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    if (transposed) {
      const std::int64_t row = i % rows, column = i / rows;
      const std::int64_t line = column / filter.taps() * padded_taps + column % filter.taps();
      to[line * stride + row] = code(row, column);
    } else {
      to[i] = code(i / width(), i % width());
    }
  }
};

/// Codes of the target site's other input at the observed positions: to[row, k], element i = row * K + k.
struct SampleShortcut {
  const std::int8_t* x;           ///< [N, OH, OW, K]
  const std::int32_t* positions;  ///< [rows]
  std::int8_t* to;                ///< [rows, K]
  std::int64_t per_image, pixels, channels;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t row = i / channels;
    to[i] = x[(row / per_image * pixels + positions[row]) * channels + i % channels];
  }
};

/// What the layer itself has to give, as two bytes: 256 * high + low, both signed, transposed [K padded, stride].
struct SplitTargets {
  ChannelTarget target;  ///< [rows, K]
  std::int8_t *high, *low;
  std::int64_t rows, channels, stride;
  std::int64_t group_channels, padded_channels;  ///< lines of a group, without and with padding

  /// i in [0, rows * K)
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t row = i % rows, k = i / rows;
    const std::int64_t to = (k / group_channels * padded_channels + k % group_channels) * stride + row;
    const std::int32_t t = target.without_shortcut(row * channels + k);
    const auto byte = static_cast<std::int8_t>(t);
    low[to] = byte;
    high[to] = static_cast<std::int8_t>((t - byte) / 256);
  }
};

/// One element of to[n, m] = sum over depth of a[m, .] * b[n, .], lines `stride` bytes apart; exact for depths up to
/// 131,071.
struct PlainByteProduct {
  const std::int8_t *a, *b;
  std::int32_t* to;
  std::int64_t m, depth, stride;

  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int8_t *u = a + i % m * stride, *v = b + i / m * stride;
    std::int32_t sum = 0;
    for (std::int64_t r = 0; r < depth; ++r) sum += u[r] * v[r];
    to[i] = sum;
  }
};

/// to[i] += factor * from[i]
struct AddScaled {
  const std::int32_t* from;
  std::int64_t* to;
  std::int64_t factor;
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const { to[i] += factor * from[i]; }
};

/// Squared errors of the outputs of P candidates, [rows, P, K], of which column p * K + k belongs to one sum.
struct ErrorColumns {
  ChannelError error;
  const std::int8_t* codes;  ///< nullptr: float output
  const float* values;
  std::int64_t* sums;                    ///< [P, K]
  std::int64_t first;                    ///< row of the targets that row 0 is
  std::int64_t rows, columns, channels;  ///< columns = P * K

  QNUDGE_HOST_DEVICE std::int64_t operator()(std::int64_t row, std::int64_t column) const {
    const std::int64_t target = (first + row) * channels + column % channels, at = row * columns + column;
    return codes != nullptr ? error(target, codes[at]) : error(target, values[at]);
  }
};

}  // namespace qnudge
