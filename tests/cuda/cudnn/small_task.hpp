// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/cuda/conv_task.hpp"

namespace qnudge::cuda {

/// Four images through a 3x3 convolution with ReLU, 8x8x16 to 8x8x16.
inline ConvTask small_task(ConvRole role, std::int64_t candidates) {
  ConvTask task;
  task.role = role;
  task.images = 4;
  task.candidates = candidates;
  task.in = task.out = {8, 8, 16};
  task.filter = {16, 3, 3, 16};
  task.geometry.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  task.epilogue.low = 0;
  return task;
}

}  // namespace qnudge::cuda
