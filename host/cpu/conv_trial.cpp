// SPDX-License-Identifier: MIT
#include "conv_trial.hpp"

#include <algorithm>
#include <cmath>

#include "qnudge/core/aligned_buffer.hpp"

namespace qnudge {
namespace {

/// SplitMix64: small, seedable, the same everywhere.
class Draws {
 public:
  explicit Draws(std::uint64_t seed) : state_(seed) {}
  /// Uniform in [low, high].
  std::int32_t operator()(std::int32_t low, std::int32_t high) {
    state_ += 0x9E3779B97F4A7C15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return low + static_cast<std::int32_t>(z % static_cast<std::uint64_t>(high - low + 1));
  }

 private:
  std::uint64_t state_;
};

/// Output extents follow from the window.
ConvTrial shape(const char* name, std::int64_t n, Shape in, std::int64_t channels, Window window,
                std::int64_t groups = 1, std::int64_t spread_h = 1, std::int64_t spread_w = 1) {
  ConvTrial trial;
  trial.name = name;
  ConvProblem& p = trial.problem;
  p.n = n;
  p.in = in;
  p.conv.window = window;
  p.conv.groups = groups;
  p.conv.spread_h = spread_h;
  p.conv.spread_w = spread_w;
  p.filter = {channels, window.r, window.s, in.c / groups};
  p.out = {((in.h - 1) * spread_h + window.pad_top + window.pad_bottom - window.dilation_h * (window.r - 1)) /
                   window.stride_h +
               1,
           ((in.w - 1) * spread_w + window.pad_left + window.pad_right - window.dilation_w * (window.s - 1)) /
                   window.stride_w +
               1,
           channels};
  return trial;
}

Window square(std::int64_t extent, std::int64_t stride, std::int64_t pad, std::int64_t dilation = 1) {
  return {extent, extent, stride, stride, dilation, dilation, pad, pad, pad, pad};
}

enum class Pattern { all_low, all_high, alternating, random, sparse };

std::int8_t weight(Pattern pattern, std::int64_t tap, std::int32_t low, std::int32_t high, Draws& draw) {
  switch (pattern) {
    case Pattern::all_low:
      return static_cast<std::int8_t>(low);
    case Pattern::all_high:
      return static_cast<std::int8_t>(high);
    case Pattern::alternating:
      return static_cast<std::int8_t>(tap % 2 == 0 ? low : high);
    case Pattern::random:
      return static_cast<std::int8_t>(draw(low, high));
    case Pattern::sparse:
      return static_cast<std::int8_t>(draw(0, 7) == 0 ? draw(-1, 1) : 0);
  }
  return 0;
}

/// Powers of two near the accumulators' spread make ties; the rest saturates, or rounds at an odd scale.
float multiplier(Pattern pattern, std::int64_t k, const ConvProblem& p, Draws& draw) {
  if (pattern == Pattern::sparse) return k % 2 == 0 ? 0.5f : 0.25f;
  const int log_taps = std::ilogb(static_cast<double>(p.filter.taps()));
  const float power = std::ldexp(1.0f, draw(-8, 0) - log_taps / 2);
  switch (draw(0, 3)) {
    case 0:
      return power * 1.3370001f;
    case 1:
      return draw(0, 7) == 0 ? 65536.0f : power;
    default:
      return power;
  }
}

std::int32_t bias_of(Pattern pattern, std::int64_t k, Draws& draw) {
  if (pattern != Pattern::sparse && k % 11 == 5) return draw(0, 1) == 0 ? -8388607 : 8388607;
  return draw(-200, 200);
}

}  // namespace

std::vector<ConvTrial> trial_shapes() {
  Window asymmetric = square(3, 2, 0);
  asymmetric.pad_bottom = asymmetric.pad_right = 1;
  Window beyond = square(1, 2, 0);  // its last windows hold nothing but padding
  beyond.pad_bottom = 7;
  const Window along_h{.r = 5, .s = 1, .pad_top = 2, .pad_bottom = 2};
  const Window cropped{.r = 2, .s = 3, .pad_top = -1, .pad_left = 1, .pad_bottom = -2, .pad_right = 2};
  return {
      shape("3x3_c16", 3, {8, 8, 16}, 16, square(3, 1, 1)),
      shape("3x3_c64", 2, {8, 8, 64}, 64, square(3, 1, 1)),
      shape("3x3_s2_c20", 2, {9, 9, 20}, 12, square(3, 2, 1)),
      shape("3x3_s2_asymmetric_c32", 2, {8, 8, 32}, 32, asymmetric),
      shape("3x3_c3", 2, {10, 10, 3}, 16, square(3, 1, 1)),
      shape("5x5_c1", 2, {9, 9, 1}, 20, square(5, 1, 2)),
      shape("1x1_s2_c32", 3, {8, 8, 32}, 64, square(1, 2, 0)),
      shape("1x1_s2_padded_c5", 16, {10, 6, 5}, 5, beyond),
      shape("1x1_c12", 2, {7, 7, 12}, 20, square(1, 1, 0)),
      shape("7x7_s2_c3", 1, {15, 15, 3}, 12, square(7, 2, 3)),
      shape("2x2_s3_c16", 2, {10, 10, 16}, 16, square(2, 3, 0)),
      shape("dilated_c12", 2, {9, 9, 12}, 20, square(3, 1, 2, 2)),
      shape("grouped_c32", 2, {8, 8, 32}, 48, square(3, 1, 1), 4),
      shape("grouped_c20", 2, {7, 7, 20}, 30, square(3, 1, 1), 5),
      shape("depthwise_c32", 2, {9, 9, 32}, 32, square(3, 1, 1), 32),
      shape("depthwise_s2_c20", 2, {9, 9, 20}, 20, square(3, 2, 1), 20),
      shape("transposed_c12", 2, {5, 5, 12}, 20, square(3, 1, 1), 1, 2, 2),
      shape("transposed_cropped_c16", 2, {6, 6, 16}, 16, cropped, 1, 2, 3),
      shape("line_c6", 3, {20, 1, 6}, 12, along_h),
      shape("line_transposed_c20", 3, {12, 1, 20}, 16, along_h, 1, 2, 1),
      shape("product_c32", 5, {4, 4, 32}, 10, square(4, 1, 0)),
      shape("product_c64", 16, {1, 1, 64}, 100, square(1, 1, 0)),
      shape("3x3_c512", 2, {2, 2, 512}, 16, square(3, 1, 1)),
  };
}

void fill_trial(ConvTrial& trial, bool input_signed, std::int32_t low, std::int32_t high, std::uint64_t seed) {
  ConvProblem& p = trial.problem;
  p.input_signed = input_signed;
  Draws draw(seed);
  const std::int32_t smallest = input_signed ? -128 : 0;
  trial.x.resize(static_cast<std::size_t>(p.n * p.in.size()));
  for (auto& x : trial.x) {
    const std::int32_t place = draw(0, 5);  // a third at the extremes
    x = static_cast<std::int8_t>(place == 0 ? smallest : place == 1 ? 127 : draw(smallest, 127));
  }
  // The first image drives every tap to the same extreme, so that sums reach their largest values.
  std::fill_n(trial.x.begin(), p.in.size(), static_cast<std::int8_t>(input_signed ? -128 : 127));
  trial.codes.clear();
  trial.bias.clear();
  trial.multipliers.clear();
  for (std::int64_t k = 0; k < p.filter.k; ++k) {
    const auto pattern = static_cast<Pattern>(k % 5);
    for (std::int64_t t = 0; t < p.filter.taps(); ++t) trial.codes.push_back(weight(pattern, t, low, high, draw));
    trial.bias.push_back(bias_of(pattern, k, draw));
    trial.multipliers.push_back(multiplier(pattern, k, p, draw));
  }
}

ConvMode set_output(ConvProblem& problem, TrialOutput output) {
  problem.float_output = output == TrialOutput::values || output == TrialOutput::relu_values;
  problem.low = -128;
  problem.high = 127;
  switch (output) {
    case TrialOutput::relu_codes:
    case TrialOutput::relu_values:
      problem.low = 0;
      break;
    case TrialOutput::relu6_codes:
      problem.low = 0;
      problem.high = 57;
      break;
    case TrialOutput::clipped_codes:
      problem.low = -33;
      problem.high = 57;
      break;
    default:
      break;
  }
  return output == TrialOutput::accumulators ? ConvMode::accumulator : ConvMode::codes;
}

std::vector<std::byte> run_trial(const ConvKernel& kernel, const ConvTrial& trial, ConvMode mode) {
  const ConvProblem& p = trial.problem;
  const AlignedBuffer packed(kernel.packed_bytes()), scratch(kernel.scratch_bytes());
  const std::size_t element = mode == ConvMode::accumulator || p.float_output ? 4 : 1;
  const std::size_t bytes = static_cast<std::size_t>(p.n * p.out.size()) * element;
  const AlignedBuffer y(bytes);
  kernel.pack(trial.codes.data(), packed.data(), scratch.data());
  kernel.run(trial.x.data(), packed.data(), mode == ConvMode::accumulator ? nullptr : trial.bias.data(), y.data(),
             scratch.data());
  return {y.data(), y.data() + bytes};
}

}  // namespace qnudge
