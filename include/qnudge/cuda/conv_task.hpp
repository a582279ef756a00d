// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "qnudge/model/graph.hpp"

namespace qnudge::cuda {

/// How candidates enter a convolution. Candidates stand between width and channels, so that a wide convolution's output
/// is the packed input of everything behind it.
enum class ConvRole {
  single,  ///< no candidates:                      x [N,H,W,C],   w [K,R,S,C/G],   y [N,OH,OW,K]
  wide,    ///< P filters over one input:           x [N,H,W,C],   w [P,K,R,S,C/G], y [N,OH,OW,P,K]
  shared,  ///< one filter over P candidates each:  x [N,H,W,P,C], w [K,R,S,C/G],   y [N,OH,OW,P,K]
};

/// code' = clamp(rint(code * m_conv + r * m_residual), low, high): an addition fused behind the convolution, whose own
/// code is rounded and clamped first. Both multipliers are powers of two.
struct FusedAddition {
  float m_conv = 1, m_residual = 1;
  std::int8_t low = -128, high = 127;
  friend auto operator<=>(const FusedAddition&, const FusedAddition&) = default;
};

/// Codes: clamp(rint(t * m[k]), low, high) as int8, then the addition if there is one. Float output: t * m[k], with
/// max(0, .) if low is 0, as fp32.
struct ConvEpilogue {
  bool float_output = false;
  std::int8_t low = -128, high = 127;
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
};

/// One line that tells tasks apart, for logs and caches.
std::string task_text(const ConvTask& task);

/// Device memory that one execution touches. Nothing may overlap y but the residual, which may be y itself only in
/// plans that say so.
struct ConvPointers {
  const std::int8_t* x = nullptr;
  const std::int8_t* w = nullptr;
  const float* bias = nullptr;            ///< [K], in role wide [P,K]: the int32 biases as fp32, exact below 2^24
  const float* multiplier = nullptr;      ///< [K], in role wide [P,K]
  const std::int8_t* residual = nullptr;  ///< like y; only with a fused addition
  void* y = nullptr;
  void* workspace = nullptr;
};

}  // namespace qnudge::cuda
