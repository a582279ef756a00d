// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/half.hpp"
#include "qnudge/model/geometry.hpp"

namespace qnudge {

/// One convolution (or product) at a fixed number of images.
struct ConvProblem {
  std::int64_t n = 1;  ///< images per call
  Shape in, out;
  ConvGeometry conv;
  FilterShape filter;        ///< k, r, s, c = C / groups
  bool input_signed = true;  ///< false: every input code is in [0, 127]
  bool float_output = false;
  std::int8_t low = -128, high = 127;  ///< of the output codes; float output: low = 0 means max(0, .)
  float half_low = -kLargestHalf, half_high = kLargestHalf;  ///< of the output halves
};

enum class ConvMode {
  codes,       ///< output codes (or the float output): the arithmetic of quant/network.hpp
  accumulator  ///< output int32 accumulators without bias, [n, H, W, K]
};

/// A prepared convolution for one set of multipliers. Packed weights are separate, so that a population shares it.
/// `run` is safe from several threads at once with different scratch buffers.
class ConvKernel {
 public:
  virtual ~ConvKernel() = default;
  virtual std::string description() const = 0;  ///< for logs and benchmarks, e.g. "oneDNN brgconv:avx512_core_amx_int8"
  virtual std::size_t packed_bytes() const = 0;   ///< of one candidate's packed filter, 64-byte multiples
  virtual std::size_t scratch_bytes() const = 0;  ///< per thread, 64-byte aligned buffer
  /// codes: [K, R, S, C / groups]; packed: packed_bytes(), 64-byte aligned.
  virtual void pack(const std::int8_t* codes, std::byte* packed, std::byte* scratch) const = 0;
  /// The same from halves, for kernels that run on halves.
  virtual void pack(const Half* filter, std::byte* packed, std::byte* scratch) const;
  /// x: [n, H, W, C] codes; bias: [K]; y: [n, OH, OW, K] int8 codes, float (float_output) or int32 (accumulator); with
  /// half activations x and y are halves instead of codes.
  virtual void run(const void* x, const std::byte* packed, const std::int32_t* bias, void* y,
                   std::byte* scratch) const = 0;
};

/// Plain integer loops over the definition. The oracle.
std::unique_ptr<ConvKernel> make_plain_kernel(const ConvProblem& problem, ConvMode mode,
                                              std::span<const float> multipliers);

/// qnudge's own vectorised kernel (int16 pair products, exact for all int8 data on every x86 and elsewhere).
std::unique_ptr<ConvKernel> make_own_kernel(const ConvProblem& problem, ConvMode mode,
                                            std::span<const float> multipliers);

/// oneDNN; nullptr where its arithmetic would not be exact on this processor or it has no such primitive.
std::unique_ptr<ConvKernel> make_onednn_kernel(const ConvProblem& problem, ConvMode mode,
                                               std::span<const float> multipliers);

/// With half activations, ConvMode::codes only. Plain loops with sums in double: the oracle.
std::unique_ptr<ConvKernel> make_plain_half_kernel(const ConvProblem& problem, ConvMode mode,
                                                   std::span<const float> multipliers);
/// With half activations, ConvMode::codes only: oneDNN in fp32 between halves, or the plain loops where it refuses.
std::unique_ptr<ConvKernel> make_half_kernel(const ConvProblem& problem, ConvMode mode,
                                             std::span<const float> multipliers);

/// Runs adversarial problems (extreme codes, half-way ties, saturation, odd shapes, signed and unsigned inputs) through
/// oneDNN and the own kernel against plain integers. Returns one sentence per kernel kind that differs; empty: all
/// equal.
std::vector<std::string> conv_self_test();

/// oneDNN, or the own kernel where oneDNN refuses or failed the self-test (run once per process, thread-safe).
std::unique_ptr<ConvKernel> make_best_kernel(const ConvProblem& problem, ConvMode mode,
                                             std::span<const float> multipliers);

/// Instruction-set level oneDNN uses here, e.g. "avx512_core_amx"; for reports.
std::string onednn_isa();

}  // namespace qnudge
