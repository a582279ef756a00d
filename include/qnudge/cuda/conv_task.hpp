// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>

#include "qnudge/model/geometry.hpp"

namespace qnudge::cuda {

/// How candidates enter a convolution. Candidates stand between width and channels, so that a wide convolution's output
/// is the packed input of everything behind it.
enum class ConvRole {
  single,  ///< no candidates:                      x [N,H,W,C],   w [K,R,S,C/G],   y [N,OH,OW,K]
  wide,    ///< P filters over one input:           x [N,H,W,C],   w [P,K,R,S,C/G], y [N,OH,OW,P,K]
  shared,  ///< one filter over P candidates each:  x [N,H,W,P,C], w [K,R,S,C/G],   y [N,OH,OW,P,K]
};

/// code' = clamp(rint(code * m_conv + r * m_residual), low, high): an addition fused behind the convolution, whose own
/// code is rounded and clamped first; of halves it is only clamped. Both multipliers are powers of two.
struct FusedAddition {
  float m_conv = 1, m_residual = 1;
  float low = -128, high = 127;
  friend auto operator<=>(const FusedAddition&, const FusedAddition&) = default;
};

/// Codes: clamp(rint(t * m[k]), low, high) as int8, then the addition if there is one; halves are clamped, and rounded
/// once at the end. Float output: t * m[k], with max(0, .) if low is 0, as fp32.
struct ConvEpilogue {
  bool float_output = false;
  float low = -128, high = 127;
  std::optional<FusedAddition> addition;
  friend auto operator<=>(const ConvEpilogue&, const ConvEpilogue&) = default;
};

/// One convolution or product with its epilogue, for a fixed number of images and candidates: all that a plan depends
/// on. t = float(acc) + bias[k], acc = sum of x * w in int32.
struct ConvTask {
  ConvRole role = ConvRole::single;
  std::int64_t images = 1;      ///< N
  std::int64_t candidates = 1;  ///< P; 1 in role single
  Shape in, out;                ///< of one image and candidate
  FilterShape filter;
  ConvGeometry geometry;
  ConvEpilogue epilogue;
  bool half = false;  ///< x, w, residual and y are halves instead of codes, acc an fp32 sum in any order
};

/// Bytes of one element of x, w and residual, and of y.
inline std::int64_t operand_bytes(const ConvTask& task) {
  return task.half ? 2 : 1;
}
inline std::int64_t output_bytes(const ConvTask& task) {
  return task.epilogue.float_output ? 4 : operand_bytes(task);
}

/// Largest power of two, at most 16, that divides every address so many bytes, or a multiple, behind an allocation's
/// beginning: what an engine may be promised of a tensor that begins there.
constexpr std::int64_t alignment_of(std::int64_t step_bytes) {
  return std::gcd<std::int64_t, std::int64_t>(step_bytes, 16);
}
/// Of x, whose elements have `bytes` bytes. Blocks of rows make it begin at any pixel, not only at an image.
constexpr std::int64_t x_alignment(const ConvTask& task, std::int64_t bytes) {
  return alignment_of(task.in.c * bytes);
}

/// What indices of 32 bits can count, as vendors' engines use them.
inline constexpr std::int64_t kMaxTensorElements = (std::int64_t{1} << 31) - 1;
/// Elements of w.
inline std::int64_t filter_elements(const ConvTask& task) {
  return task.filter.size() * (task.role == ConvRole::wide ? task.candidates : 1);
}
/// Elements of the larger one of x and y.
inline std::int64_t largest_tensor(const ConvTask& task) {
  const std::int64_t inputs = task.in.size() * (task.role == ConvRole::shared ? task.candidates : 1);
  return task.images * std::max(inputs, task.out.size() * task.candidates);
}

/// One line that tells tasks apart, for logs and caches.
std::string task_text(const ConvTask& task);

/// Device memory that one execution touches. Nothing may overlap y but the residual, which may be y itself only in
/// plans that say so.
struct ConvPointers {
  const void* x = nullptr;            ///< codes, or halves
  const void* w = nullptr;            ///< like x
  const float* bias = nullptr;        ///< [K], in role wide [P,K]: the int32 biases as fp32, exact below 2^24
  const float* multiplier = nullptr;  ///< [K], in role wide [P,K]
  const void* residual = nullptr;     ///< like y; only with a fused addition
  void* y = nullptr;                  ///< like x, or fp32
  void* workspace = nullptr;
};

}  // namespace qnudge::cuda
