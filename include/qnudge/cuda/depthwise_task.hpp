// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/cuda/plain_task.hpp"
#include "qnudge/kernels/depthwise_conv.hpp"

namespace qnudge::cuda {

/// Channels that a thread of the depthwise kernel takes of this task: 16, or 4 where 16 do not divide them. 0: the
/// kernel does not serve, because the task is of another kind, gives floats, or counts beyond 32 bits.
int depthwise_lanes(const ConvTask& task);

/// How the kernel sees the task's planes and window: a signal lies along the width, which is walked by fours.
struct DepthwisePlane {
  Shape in, out;
  Window window;
};
DepthwisePlane depthwise_plane(const ConvTask& task);

/// The kernel's table, in the workspace, and its size there; of a task with depthwise_lanes.
DepthwiseTable depthwise_table(const ConvTask& task, const ConvPointers& at);
std::size_t depthwise_table_bytes(const ConvTask& task);

/// The depthwise kernel's form of a task that has kLanes. Needs x, y and residual aligned to kLanes bytes, the
/// workspace to 16.
template <int kLanes, int kPixels>
DepthwiseConv<kLanes, kPixels> depthwise_conv(const ConvTask& task, const ConvPointers& at) {
  using Op = DepthwiseConv<kLanes, kPixels>;
  using Codes = typename Op::Codes;
  const auto narrow = [](std::int64_t count) { return static_cast<std::int32_t>(count); };
  const std::int64_t own = task.filter.k / kLanes, all = own * task.candidates;
  const auto [in, out, w] = depthwise_plane(task);
  Op op{};
  op.x = static_cast<const Codes*>(at.x);
  op.table = static_cast<const FourWords*>(at.workspace);
  op.residual = task.epilogue.addition ? static_cast<const Codes*>(at.residual) : nullptr;
  op.code = static_cast<Codes*>(at.y);
  op.tiles = DepthwiseTiles::of(narrow(all), narrow((out.w + kPixels - 1) / kPixels), narrow(task.images * out.h),
                                128 / kLanes);
  op.input_packs = task.role == ConvRole::shared ? all : own;
  op.table_packs = task.role == ConvRole::wide ? all : own;
  op.out_h = out.h;
  op.in_h = narrow(in.h);
  op.in_w = narrow(in.w);
  op.out_w = narrow(out.w);
  op.r = narrow(w.r);
  op.s = narrow(w.s);
  op.stride_h = narrow(w.stride_h);
  op.stride_w = narrow(w.stride_w);
  op.dilation_h = narrow(w.dilation_h);
  op.dilation_w = narrow(w.dilation_w);
  op.pad_top = narrow(w.pad_top);
  op.pad_left = narrow(w.pad_left);
  op.element = conv_code<std::int8_t>(task.epilogue);
  return op;
}

/// f(op) with the form for the task's lanes, which are not 0.
template <class F>
void with_depthwise_conv(const ConvTask& task, const ConvPointers& at, const F& f) {
  const Window w = depthwise_plane(task).window;
  if (depthwise_lanes(task) == 4) {
    f(depthwise_conv<4, 1>(task, at));
  } else if (w.s <= 3 && w.stride_w == 1 && w.dilation_w == 1) {
    f(depthwise_conv<16, 2>(task, at));
  } else {
    f(depthwise_conv<16, 1>(task, at));
  }
}

}  // namespace qnudge::cuda
