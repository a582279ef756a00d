// SPDX-License-Identifier: MIT
#include "qnudge/cuda/conv_task.hpp"

#include <fmt/format.h>

namespace qnudge::cuda {

std::string task_text(const ConvTask& task) {
  static constexpr const char* kRoles[] = {"single", "wide", "shared"};
  const ConvGeometry& g = task.geometry;
  const Window& w = g.window;
  const ConvEpilogue& e = task.epilogue;
  std::string text =
      fmt::format("{} N{} P{} {}x{}x{} -> {}x{}x{} filter {}x{}x{}x{} stride {},{} dilation {},{} pad {},{},{},{}",
                  kRoles[static_cast<int>(task.role)], task.images, task.candidates, task.in.h, task.in.w, task.in.c,
                  task.out.h, task.out.w, task.out.c, task.filter.k, task.filter.r, task.filter.s, task.filter.c,
                  w.stride_h, w.stride_w, w.dilation_h, w.dilation_w, w.pad_top, w.pad_left, w.pad_bottom, w.pad_right);
  if (g.groups != 1) text += fmt::format(" groups {}", g.groups);
  if (g.spread_h != 1 || g.spread_w != 1) text += fmt::format(" spread {},{}", g.spread_h, g.spread_w);
  text += fmt::format(" {} [{},{}]", e.float_output ? "float" : task.half ? "halves" : "codes", e.low, e.high);
  if (task.half && e.float_output) text += " of halves";
  if (e.addition) {
    text +=
        fmt::format(" + {} {} [{},{}]", e.addition->m_conv, e.addition->m_residual, e.addition->low, e.addition->high);
  }
  return text;
}

}  // namespace qnudge::cuda
