// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "qnudge/cpu/conv_kernel.hpp"

namespace qnudge {

/// What a trial convolution puts out.
enum class TrialOutput { codes, relu_codes, relu6_codes, clipped_codes, values, relu_values, accumulators };
constexpr TrialOutput kTrialOutputs[] = {TrialOutput::codes,         TrialOutput::relu_codes, TrialOutput::relu6_codes,
                                         TrialOutput::clipped_codes, TrialOutput::values,     TrialOutput::relu_values,
                                         TrialOutput::accumulators};

/// A convolution that tries to break a kernel: extreme codes side by side, channels with all weights at an extreme,
/// sums that land half-way between two codes, saturation at both ends, biases up to 2^23.
struct ConvTrial {
  std::string name;
  ConvProblem problem;
  std::vector<std::int8_t> x, codes;  ///< [n, H, W, C], [K, R, S, C / groups]
  std::vector<std::int32_t> bias;     ///< [K]
  std::vector<float> multipliers;     ///< [K]
};

/// Small convolutions of every kind, without data: filters 1x1 to 7x7, odd channel counts, strides, asymmetric padding,
/// dilated, grouped, depthwise, transposed, cropped, one-dimensional, products, and one of 4608 taps.
std::vector<ConvTrial> trial_shapes();

/// Fills in data; weights are drawn from [low, high] and the extremes are those.
void fill_trial(ConvTrial& trial, bool input_signed, std::int32_t low, std::int32_t high, std::uint64_t seed);

/// Sets the fields of the problem that decide the output's type and range.
ConvMode set_output(ConvProblem& problem, TrialOutput output);

/// Packs and runs once on buffers of the documented alignment; the output's bytes.
std::vector<std::byte> run_trial(const ConvKernel& kernel, const ConvTrial& trial, ConvMode mode);

}  // namespace qnudge
