// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "onednn_convolution.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/model/graph.hpp"
#include "spread_input.hpp"

namespace qnudge {

/// A convolution or product of the float graph at a fixed number of images, weights packed once. By oneDNN in fp32;
/// where it has no such primitive, by plain loops with double sums. `run` is safe from several threads at once with
/// different scratch buffers.
class FloatConvolution {
 public:
  /// `node` must outlive this; `in` is the shape of its input, `n` images per call.
  FloatConvolution(const Node& node, const Shape& in, std::int64_t n);

  std::size_t scratch_bytes() const;  ///< 64-byte aligned buffer
  /// x: [n, H, W, C]; y: [n, OH, OW, K].
  void run(const float* x, float* y, std::byte* scratch) const;

 private:
  void run_plain(const float* x, float* y) const;

  const Node& node_;
  ConvProblem problem_;
  SpreadInput spread_;
  std::unique_ptr<OneDnnConvolution> convolution_;
  AlignedBuffer packed_;
};

}  // namespace qnudge
