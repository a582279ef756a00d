// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/cuda/conv_task.hpp"
#include "qnudge/kernels/elementwise.hpp"
#include "qnudge/kernels/plain_conv.hpp"

namespace qnudge::cuda {

inline std::int64_t output_elements(const ConvTask& task) {
  return task.images * task.candidates * task.out.size();
}

template <class T>
ConvCode<T> conv_code(const ConvEpilogue& epilogue) {
  using Bound = typename Activation<T>::Bound;
  const FusedAddition addition = epilogue.addition.value_or(FusedAddition{});
  return {static_cast<Bound>(epilogue.low), static_cast<Bound>(epilogue.high), addition.m_conv, addition.m_residual,
          static_cast<Bound>(addition.low), static_cast<Bound>(addition.high)};
}

/// The plain kernel's form of a task between elements of type T: the last rung of the ladder, and the oracle of all
/// others.
template <class T>
PlainConv<T> plain_conv(const ConvTask& task, const ConvPointers& at) {
  using Op = PlainConv<T>;
  Op op{};
  op.x = static_cast<const T*>(at.x);
  op.w = static_cast<const typename Op::Weight*>(at.w);
  op.bias = at.bias;
  op.m = at.multiplier;
  op.residual = task.epilogue.addition ? static_cast<const T*>(at.residual) : nullptr;
  op.code = task.epilogue.float_output ? nullptr : static_cast<T*>(at.y);
  op.y = task.epilogue.float_output ? static_cast<float*>(at.y) : nullptr;
  op.in = task.in;
  op.out = task.out;
  op.filter = task.filter;
  op.conv = task.geometry;
  op.candidates = task.candidates;
  op.input_candidates = task.role == ConvRole::shared ? task.candidates : 1;
  op.filter_stride = task.role == ConvRole::wide ? task.filter.size() : 0;
  op.element = conv_code<T>(task.epilogue);
  return op;
}

/// The addition behind a task of codes as a pass of its own, over what the task without it has written to y.
inline AddCodes<std::int8_t> addition_apart(const ConvTask& task, const ConvPointers& at) {
  const FusedAddition& a = task.epilogue.addition.value();
  auto* const y = static_cast<std::int8_t*>(at.y);
  return {y,
          static_cast<const std::int8_t*>(at.residual),
          y,
          a.m_conv,
          a.m_residual,
          static_cast<std::int32_t>(a.low),
          static_cast<std::int32_t>(a.high)};
}

/// f(op) with the plain kernel's form for the task's elements.
template <class F>
void with_plain_conv(const ConvTask& task, const ConvPointers& at, const F& f) {
  if (task.half) {
    f(plain_conv<Half>(task, at));
  } else {
    f(plain_conv<std::int8_t>(task, at));
  }
}

}  // namespace qnudge::cuda
