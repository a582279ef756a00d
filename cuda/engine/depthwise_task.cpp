// SPDX-License-Identifier: MIT
#include "qnudge/cuda/depthwise_task.hpp"

#include <utility>

namespace qnudge::cuda {

int depthwise_lanes(const ConvTask& task) {
  const ConvGeometry& g = task.geometry;
  const bool depthwise = g.groups == task.filter.k && task.in.c == task.filter.k && task.filter.c == 1;
  if (!depthwise || g.spread_h != 1 || g.spread_w != 1 || task.half || task.epilogue.float_output) return 0;
  if (largest_tensor(task) > kMaxTensorElements) return 0;
  return task.filter.k % 16 == 0 ? 16 : task.filter.k % 4 == 0 ? 4 : 0;
}

DepthwisePlane depthwise_plane(const ConvTask& task) {
  DepthwisePlane plane{task.in, task.out, task.geometry.window};
  Window& w = plane.window;
  if (plane.in.w == 1 && plane.out.w == 1 && w.s == 1 && w.pad_left == 0) {
    std::swap(plane.in.h, plane.in.w);
    std::swap(plane.out.h, plane.out.w);
    w = {.r = 1, .s = w.r, .stride_w = w.stride_h, .dilation_w = w.dilation_h, .pad_left = w.pad_top};
  }
  return plane;
}

DepthwiseTable depthwise_table(const ConvTask& task, const ConvPointers& at) {
  const Window w = depthwise_plane(task).window;
  const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
  return {static_cast<const std::int8_t*>(at.w),
          at.bias,
          at.multiplier,
          static_cast<FourWords*>(at.workspace),
          static_cast<std::int32_t>(sets * task.filter.k),
          static_cast<std::int32_t>(w.r),
          static_cast<std::int32_t>(w.s),
          depthwise_lanes(task)};
}

std::size_t depthwise_table_bytes(const ConvTask& task) {
  return static_cast<std::size_t>(depthwise_table(task, {}).size()) * sizeof(std::uint32_t);
}

}  // namespace qnudge::cuda
