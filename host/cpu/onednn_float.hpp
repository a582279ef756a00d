// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "onednn_convolution.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "spread_input.hpp"

namespace qnudge {

/// A convolution or product of the float graph at a fixed number of images, weights packed once. By oneDNN in fp32;
/// where it has no such primitive, by plain loops with double sums. `run` is safe from several threads at once with
/// different scratch buffers.
class FloatConvolution {
 public:
  /// weights: [K, R, S, C / groups], bias: [K]; both must outlive this.
  FloatConvolution(const ConvProblem& problem, const float* weights, const float* bias);

  std::size_t scratch_bytes() const;  ///< 64-byte aligned buffer
  /// x: [n, H, W, C]; y: [n, OH, OW, K].
  void run(const float* x, float* y, std::byte* scratch) const;

 private:
  void run_plain(const float* x, float* y) const;

  const float *weights_, *bias_;
  ConvProblem problem_;
  SpreadInput spread_;
  std::unique_ptr<OneDnnConvolution> convolution_;
  AlignedBuffer packed_;
};

}  // namespace qnudge
