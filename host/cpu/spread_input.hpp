// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "qnudge/cpu/conv_kernel.hpp"

namespace qnudge {

/// A convolution's input with zeros inserted (transposed convolution) and cropped (negative padding), so that what
/// remains is an ordinary convolution.
class SpreadInput {
 public:
  explicit SpreadInput(const ConvProblem& p) : n_(p.n), in_(p.in), conv_(p.conv) {
    const Window& w = conv_.window;
    top_ = std::max<std::int64_t>(0, -w.pad_top);
    left_ = std::max<std::int64_t>(0, -w.pad_left);
    spread_.h = (in_.h - 1) * conv_.spread_h + 1 - top_ - std::max<std::int64_t>(0, -w.pad_bottom);
    spread_.w = (in_.w - 1) * conv_.spread_w + 1 - left_ - std::max<std::int64_t>(0, -w.pad_right);
    spread_.c = in_.c;
  }

  bool possible() const { return spread_.h > 0 && spread_.w > 0; }  ///< false: the crop leaves nothing but padding
  bool needed() const { return !(spread_ == in_) || top_ != 0 || left_ != 0; }
  std::size_t elements() const { return static_cast<std::size_t>(n_ * spread_.size()); }

  /// The ordinary convolution over the spread input.
  ConvProblem applied(ConvProblem p) const {
    p.in = spread_;
    p.conv.spread_h = p.conv.spread_w = 1;
    Window& w = p.conv.window;
    for (std::int64_t* pad : {&w.pad_top, &w.pad_left, &w.pad_bottom, &w.pad_right}) {
      *pad = std::max<std::int64_t>(0, *pad);
    }
    return p;
  }

  /// x: [n, H, W, C]; to: [elements()].
  template <class T>
  void fill(const T* x, T* to) const {
    std::fill(to, to + elements(), T{0});
    for (std::int64_t row = 0; row < n_ * in_.h; ++row) {
      const std::int64_t y = row % in_.h * conv_.spread_h - top_;
      if (y < 0 || y >= spread_.h) continue;
      T* to_row = to + (row / in_.h * spread_.h + y) * spread_.w * spread_.c;
      for (std::int64_t ix = 0; ix < in_.w; ++ix) {
        const std::int64_t at = ix * conv_.spread_w - left_;
        if (at < 0 || at >= spread_.w) continue;
        std::copy_n(x + (row * in_.w + ix) * in_.c, in_.c, to_row + at * spread_.c);
      }
    }
  }

 private:
  std::int64_t n_;
  Shape in_, spread_;
  ConvGeometry conv_;
  std::int64_t top_, left_;
};

}  // namespace qnudge
