// SPDX-License-Identifier: MIT
#include "qnudge/cuda/phases.hpp"

#include <algorithm>
#include <limits>

namespace qnudge::cuda {
namespace {

/// What one axis needs; `before` and `after` are its padding.
PhaseAxis axis_of(std::int64_t spread, std::int64_t filter, std::int64_t dilation, std::int64_t pad, std::int64_t in,
                  std::int64_t out, std::int64_t& before, std::int64_t& after) {
  PhaseAxis axis;
  axis.phases = spread;
  axis.filter = filter;
  axis.dilation = dilation;
  axis.pad = pad;
  axis.outputs = out / spread;
  std::int64_t first = std::numeric_limits<std::int64_t>::max(), last = std::numeric_limits<std::int64_t>::min();
  for (std::int64_t f = 0; f < spread; ++f) {
    for (std::int64_t r = 0; r < filter; ++r) {
      const std::int64_t reach = f + r * dilation - pad;
      if (reach % spread != 0) continue;
      first = std::min(first, reach / spread);
      last = std::max(last, reach / spread);
    }
  }
  axis.first = first;
  axis.taps = last - first + 1;
  before = -first;
  after = axis.outputs - in - before + axis.taps - 1;
  return axis;
}

}  // namespace

Phases phases_of(const ConvTask& task) {
  const ConvGeometry& g = task.geometry;
  const Window& w = g.window;
  Phases phases;
  if (g.spread_h == 1 && g.spread_w == 1) phases.refusal = "an ordinary convolution has no phases";
  if (g.groups != 1) phases.refusal = "a grouped transposed convolution has no phase form";
  if (w.stride_h != 1 || w.stride_w != 1) phases.refusal = "a strided transposed convolution has no phase form";
  if (task.out.h % g.spread_h != 0 || task.out.w % g.spread_w != 0) {
    phases.refusal = "the output of a transposed convolution is no multiple of its stride";
  }
  if (!phases.refusal.empty()) return phases;
  Window& each = phases.window;
  phases.h = axis_of(g.spread_h, w.r, w.dilation_h, w.pad_top, task.in.h, task.out.h, each.pad_top, each.pad_bottom);
  phases.w = axis_of(g.spread_w, w.s, w.dilation_w, w.pad_left, task.in.w, task.out.w, each.pad_left, each.pad_right);
  each.r = phases.h.taps;
  each.s = phases.w.taps;
  if (std::min({each.pad_top, each.pad_left, each.pad_bottom, each.pad_right}) < 0) {
    phases.refusal = "a transposed convolution that crops its input has no phase form";
  }
  return phases;
}

}  // namespace qnudge::cuda
