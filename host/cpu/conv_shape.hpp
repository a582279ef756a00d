// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/kernels/unspread.hpp"

/// Geometry that the host's convolution kernels share.
namespace qnudge {

inline std::size_t align64(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

/// Input row under filter row `r` at output row `oy`; -1 where that tap reads a zero.
inline std::int64_t input_row(const ConvProblem& p, std::int64_t oy, std::int64_t r) {
  const Window& w = p.conv.window;
  return unspread(oy * w.stride_h + r * w.dilation_h - w.pad_top, p.conv.spread_h, p.in.h);
}

/// Input column under filter column `s` at output column `ox`; -1 where that tap reads a zero.
inline std::int64_t input_column(const ConvProblem& p, std::int64_t ox, std::int64_t s) {
  const Window& w = p.conv.window;
  return unspread(ox * w.stride_w + s * w.dilation_w - w.pad_left, p.conv.spread_w, p.in.w);
}

/// Whether no output reads padding alone. Of an input without spread.
inline bool every_window_meets_input(const ConvProblem& p) {
  const Window& w = p.conv.window;
  return w.pad_top <= (p.filter.r - 1) * w.dilation_h && (p.out.h - 1) * w.stride_h - w.pad_top < p.in.h &&
         w.pad_left <= (p.filter.s - 1) * w.dilation_w && (p.out.w - 1) * w.stride_w - w.pad_left < p.in.w;
}

/// Throws Error(kind internal) where extents, groups or multipliers contradict each other, or where an int32
/// accumulator could overflow.
inline void check_problem(const ConvProblem& p, ConvMode mode, std::span<const float> multipliers) {
  constexpr std::int64_t kMaxTaps = 131'072;  // 128 * 128 * taps must stay below 2^31
  const FilterShape& f = p.filter;
  const std::int64_t groups = p.conv.groups;
  require(p.n > 0 && p.in.size() > 0 && p.out.size() > 0 && f.size() > 0 && groups > 0, ErrorKind::internal,
          "convolution of {} images: empty input, output or filter", p.n);
  require(f.c * groups == p.in.c && f.k == p.out.c && f.k % groups == 0, ErrorKind::internal,
          "convolution: filter {}x{} with {} groups does not fit {} input and {} output channels", f.k, f.c, groups,
          p.in.c, p.out.c);
  require(f.taps() < kMaxTaps, ErrorKind::internal, "convolution: {} taps could overflow 32-bit sums", f.taps());
  require(mode == ConvMode::accumulator || multipliers.size() == static_cast<std::size_t>(f.k), ErrorKind::internal,
          "convolution: {} multipliers for {} channels", multipliers.size(), f.k);
}

/// The same convolution in the form that vendor kernels like best, over the same bytes: a product that covers its whole
/// input becomes 1x1 with the images side by side in one row, a one-dimensional signal runs along the width.
inline ConvProblem simplified(ConvProblem p) {
  Window& w = p.conv.window;
  const bool unpadded = w.pad_top == 0 && w.pad_left == 0 && w.pad_bottom == 0 && w.pad_right == 0;
  const bool dense = p.conv.groups == 1 && p.conv.spread_h == 1 && p.conv.spread_w == 1 && w.dilation_h == 1 &&
                     w.dilation_w == 1 && unpadded;
  if (dense && p.filter.r == p.in.h && p.filter.s == p.in.w) {
    p.filter = {p.filter.k, 1, 1, p.filter.taps()};
    p.in = {1, p.n, p.filter.c};
    p.out = {1, p.n, p.filter.k};
    p.n = 1;
    w = Window{};
  } else if (p.in.w == 1 && p.out.w == 1 && p.filter.s == 1 && w.pad_left == 0 && w.pad_right == 0) {
    std::swap(p.in.h, p.in.w);
    std::swap(p.out.h, p.out.w);
    std::swap(p.filter.r, p.filter.s);
    w = Window{.r = w.s,
               .s = w.r,
               .stride_h = 1,
               .stride_w = w.stride_h,
               .dilation_h = 1,
               .dilation_w = w.dilation_h,
               .pad_left = w.pad_top,
               .pad_right = w.pad_bottom};
    p.conv.spread_w = p.conv.spread_h;
    p.conv.spread_h = 1;
  }
  return p;
}

}  // namespace qnudge
