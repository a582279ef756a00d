// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/cuda/conv_task.hpp"
#include "qnudge/kernels/plain_conv.hpp"

namespace qnudge::cuda {

inline std::int64_t output_elements(const ConvTask& task) {
  return task.images * task.candidates * task.out.size();
}

/// The plain kernel's form of a task: the last rung of the ladder, and the oracle of all others.
inline PlainConv plain_conv(const ConvTask& task, const ConvPointers& at) {
  PlainConv op{};
  op.x = at.x;
  op.w = at.w;
  op.bias = at.bias;
  op.m = at.multiplier;
  op.residual = task.epilogue.addition ? at.residual : nullptr;
  op.code = task.epilogue.float_output ? nullptr : static_cast<std::int8_t*>(at.y);
  op.y = task.epilogue.float_output ? static_cast<float*>(at.y) : nullptr;
  op.in = task.in;
  op.out = task.out;
  op.filter = task.filter;
  op.conv = task.geometry;
  op.candidates = task.candidates;
  op.input_candidates = task.role == ConvRole::shared ? task.candidates : 1;
  op.filter_stride = task.role == ConvRole::wide ? task.filter.size() : 0;
  op.low = task.epilogue.low;
  op.high = task.epilogue.high;
  if (task.epilogue.addition) {
    op.m_conv = task.epilogue.addition->m_conv;
    op.m_residual = task.epilogue.addition->m_residual;
    op.add_low = task.epilogue.addition->low;
    op.add_high = task.epilogue.addition->high;
  }
  return op;
}

}  // namespace qnudge::cuda
