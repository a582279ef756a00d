// SPDX-License-Identifier: MIT
// Convolutions between halves: fp32 sums by oneDNN, or sums in double by definition.
#include <algorithm>

#include "conv_shape.hpp"
#include "onednn_convolution.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/kernels/activation.hpp"
#include "spread_input.hpp"
#include "vector_levels.hpp"

namespace qnudge {

void ConvKernel::pack(const Half*, std::byte*, std::byte*) const {
  fail(ErrorKind::internal, "{}: packs no halves", description());
}

namespace {

QNUDGE_VECTOR_LEVELS void widen(const Half* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = to_float(from[i]);
}

QNUDGE_VECTOR_LEVELS void widen(const std::int8_t* from, float* to, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

/// What follows the sums of one position: y[k] = nearest((acc[k] + bias[k]) * m[k]), or unrounded as fp32.
struct HalfEpilogue {
  std::vector<float> multipliers;
  std::int64_t channels;
  float low, high;
  bool float_output, relu;

  HalfEpilogue(const ConvProblem& p, std::span<const float> m)
      : multipliers(m.begin(), m.end()),
        channels(p.filter.k),
        low(p.half_low),
        high(p.half_high),
        float_output(p.float_output),
        relu(p.low == 0) {}

  /// Positions first .. first + count - 1 of y; acc: [count, K].
  void operator()(const float* acc, const std::int32_t* bias, void* y, std::int64_t first, std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t at = (first + i) * channels;
      if (float_output) {
        real_row(acc + i * channels, bias, static_cast<float*>(y) + at);
      } else {
        half_row(acc + i * channels, bias, static_cast<Half*>(y) + at);
      }
    }
  }

 private:
  QNUDGE_VECTOR_LEVELS void half_row(const float* acc, const std::int32_t* bias, Half* y) const {
    const float* const m = multipliers.data();
#pragma GCC ivdep
    for (std::int64_t k = 0; k < channels; ++k) {
      y[k] = Activation<Half>::nearest((acc[k] + static_cast<float>(bias[k])) * m[k], low, high);
    }
  }
  void real_row(const float* acc, const std::int32_t* bias, float* y) const {
    for (std::int64_t k = 0; k < channels; ++k) {
      const float v = (acc[k] + static_cast<float>(bias[k])) * multipliers[static_cast<std::size_t>(k)];
      y[k] = relu && !(v > 0.0f) ? 0.0f : v;
    }
  }
};

class PlainHalfKernel final : public ConvKernel {
 public:
  PlainHalfKernel(const ConvProblem& problem, std::span<const float> multipliers)
      : p_(problem), epilogue_(problem, multipliers) {}

  std::string description() const override { return "plain loops between halves"; }
  std::size_t packed_bytes() const override {
    return AlignedBuffer::round_up(static_cast<std::size_t>(p_.filter.size()) * sizeof(float));
  }
  std::size_t scratch_bytes() const override { return 0; }
  void pack(const std::int8_t* codes, std::byte* packed, std::byte*) const override {
    widen(codes, reinterpret_cast<float*>(packed), p_.filter.size());
  }
  void pack(const Half* filter, std::byte* packed, std::byte*) const override {
    widen(filter, reinterpret_cast<float*>(packed), p_.filter.size());
  }

  void run(const void* x, const std::byte* packed, const std::int32_t* bias, void* y, std::byte*) const override {
    const auto* filter = reinterpret_cast<const float*>(packed);
    std::vector<float> acc(static_cast<std::size_t>(p_.filter.k));
    for (std::int64_t at = 0; at < p_.n * p_.out.h * p_.out.w; ++at) {
      stop_point();
      const std::int64_t ox = at % p_.out.w, oy = at / p_.out.w % p_.out.h, n = at / (p_.out.w * p_.out.h);
      const Half* image = static_cast<const Half*>(x) + n * p_.in.size();
      for (std::int64_t k = 0; k < p_.filter.k; ++k) {
        acc[static_cast<std::size_t>(k)] = accumulate(image, filter + k * p_.filter.taps(), oy, ox, k);
      }
      epilogue_(acc.data(), bias, y, at, 1);
    }
  }

 private:
  /// In double: products are exact, and what the order of additions costs is far below half precision.
  float accumulate(const Half* image, const float* w, std::int64_t oy, std::int64_t ox, std::int64_t k) const {
    const std::int64_t c0 = k / (p_.filter.k / p_.conv.groups) * p_.filter.c;
    double acc = 0;
    for (std::int64_t r = 0; r < p_.filter.r; ++r) {
      const std::int64_t iy = input_row(p_, oy, r);
      for (std::int64_t s = 0; s < p_.filter.s; ++s, w += p_.filter.c) {
        const std::int64_t ix = input_column(p_, ox, s);
        if (iy < 0 || ix < 0) continue;
        const Half* in = image + (iy * p_.in.w + ix) * p_.in.c + c0;
        for (std::int64_t c = 0; c < p_.filter.c; ++c) acc += static_cast<double>(to_float(in[c])) * w[c];
      }
    }
    return static_cast<float>(acc);
  }

  const ConvProblem p_;
  const HalfEpilogue epilogue_;
};

/// Scratch: oneDNN's own, the input as fp32, the same spread where needed, the sums. Packing borrows the input's place.
class OneDnnHalfKernel final : public ConvKernel {
 public:
  OneDnnHalfKernel(std::unique_ptr<OneDnnConvolution> convolution, const ConvProblem& simple,
                   const ConvProblem& problem, std::span<const float> multipliers)
      : convolution_(std::move(convolution)),
        spread_(simple),
        inputs_(problem.n * problem.in.size()),
        positions_(problem.n * problem.out.h * problem.out.w),
        weights_(problem.filter.size()),
        epilogue_(problem, multipliers) {}

  std::string description() const override { return "oneDNN " + convolution_->implementation() + " between halves"; }
  std::size_t packed_bytes() const override { return convolution_->packed_bytes(); }
  std::size_t scratch_bytes() const override {
    return sums_at() + bytes_of(std::max(positions_ * epilogue_.channels, weights_ - inputs_));
  }
  void pack(const std::int8_t* codes, std::byte* packed, std::byte* scratch) const override {
    pack_as_float(codes, packed, scratch);
  }
  void pack(const Half* filter, std::byte* packed, std::byte* scratch) const override {
    pack_as_float(filter, packed, scratch);
  }

  void run(const void* x, const std::byte* packed, const std::int32_t* bias, void* y,
           std::byte* scratch) const override {
    auto* const input = floats(scratch, input_at());
    widen(static_cast<const Half*>(x), input, inputs_);
    const float* from = input;
    if (spread_.needed()) {
      spread_.fill(input, floats(scratch, spread_at()));
      from = floats(scratch, spread_at());
    }
    auto* const sums = floats(scratch, sums_at());
    convolution_->run(from, packed, nullptr, sums, scratch);
    epilogue_(sums, bias, y, 0, positions_);
  }

 private:
  static std::size_t bytes_of(std::int64_t elements) {
    return AlignedBuffer::round_up(static_cast<std::size_t>(std::max<std::int64_t>(0, elements)) * sizeof(float));
  }
  static float* floats(std::byte* scratch, std::size_t at) { return reinterpret_cast<float*>(scratch + at); }
  std::size_t input_at() const { return convolution_->scratch_bytes(); }
  std::size_t spread_at() const { return input_at() + bytes_of(inputs_); }
  std::size_t sums_at() const {
    return spread_at() + (spread_.needed() ? bytes_of(static_cast<std::int64_t>(spread_.elements())) : 0);
  }

  template <class T>
  void pack_as_float(const T* filter, std::byte* packed, std::byte* scratch) const {
    float* const plain = floats(scratch, input_at());
    widen(filter, plain, weights_);
    convolution_->pack(plain, packed, scratch);
  }

  const std::unique_ptr<OneDnnConvolution> convolution_;
  const SpreadInput spread_;
  const std::int64_t inputs_, positions_, weights_;
  const HalfEpilogue epilogue_;
};

void check_half_problem(const ConvProblem& problem, ConvMode mode, std::span<const float> multipliers) {
  check_problem(problem, mode, multipliers);
  require(mode == ConvMode::codes, ErrorKind::internal, "convolutions between halves give no accumulators");
}

}  // namespace

std::unique_ptr<ConvKernel> make_plain_half_kernel(const ConvProblem& problem, ConvMode mode,
                                                   std::span<const float> multipliers) {
  check_half_problem(problem, mode, multipliers);
  return std::make_unique<PlainHalfKernel>(problem, multipliers);
}

std::unique_ptr<ConvKernel> make_half_kernel(const ConvProblem& problem, ConvMode mode,
                                             std::span<const float> multipliers) {
  check_half_problem(problem, mode, multipliers);
  const ConvProblem simple = simplified(problem);
  const SpreadInput spread(simple);
  if (spread.possible()) {
    OneDnnSpec spec;
    spec.problem = spread.applied(simple);
    if (auto convolution = OneDnnConvolution::create(spec)) {
      return std::make_unique<OneDnnHalfKernel>(std::move(convolution), simple, problem, multipliers);
    }
  }
  return std::make_unique<PlainHalfKernel>(problem, multipliers);
}

}  // namespace qnudge
