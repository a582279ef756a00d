// SPDX-License-Identifier: MIT
#include "conv_shape.hpp"
#include "onednn_convolution.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "spread_input.hpp"

namespace qnudge {
namespace {

/// oneDNN's int8 convolution with the epilogue fused.
class OneDnnKernel final : public ConvKernel {
 public:
  OneDnnKernel(std::unique_ptr<OneDnnConvolution> convolution, const SpreadInput& spread)
      : convolution_(std::move(convolution)), spread_(spread) {}

  std::string description() const override { return "oneDNN " + convolution_->implementation(); }
  std::size_t packed_bytes() const override { return convolution_->packed_bytes(); }
  std::size_t scratch_bytes() const override {
    return convolution_->scratch_bytes() + AlignedBuffer::round_up(spread_.needed() ? spread_.elements() : 0);
  }

  using ConvKernel::pack;
  void pack(const std::int8_t* codes, std::byte* packed, std::byte* scratch) const override {
    convolution_->pack(codes, packed, scratch);
  }

  void run(const void* x, const std::byte* packed, const std::int32_t* bias, void* y,
           std::byte* scratch) const override {
    if (spread_.needed()) {
      auto* spread = reinterpret_cast<std::int8_t*>(scratch + convolution_->scratch_bytes());
      spread_.fill(static_cast<const std::int8_t*>(x), spread);
      x = spread;
    }
    convolution_->run(x, packed, bias, y, scratch);
  }

 private:
  std::unique_ptr<OneDnnConvolution> convolution_;
  SpreadInput spread_;
};

OneDnnSpec int8_spec(const ConvProblem& p, ConvMode mode, std::span<const float> multipliers) {
  using Type = OneDnnSpec::Type;
  OneDnnSpec spec;
  spec.problem = p;
  spec.src = p.input_signed ? Type::s8 : Type::u8;
  spec.weights = Type::s8;
  if (mode == ConvMode::accumulator) {
    spec.dst = Type::s32;
    return spec;
  }
  spec.bias = Type::s32;
  spec.dst = p.float_output ? Type::f32 : Type::s8;
  spec.multipliers.assign(multipliers.begin(), multipliers.end());
  const bool whole_range = p.high == 127 || p.float_output;
  spec.relu = p.low == 0 && whole_range;
  if (!whole_range || (!p.float_output && p.low != 0 && p.low != -128)) spec.clip.emplace(p.low, p.high);
  return spec;
}

/// Kernels other than brgemm pass even 32-bit results through fp32, exact up to 2^24.
bool exact_accumulators(const ConvProblem& p, const std::string& implementation) {
  constexpr std::int64_t kExactTaps = (1 << 24) / (128 * 128);
  return p.filter.taps() <= kExactTaps || implementation.rfind("brg", 0) == 0;
}

/// oneDNN 3.2 reads the wrong multipliers in the last, partial vector of a depthwise convolution on AVX2.
bool exact_depthwise(const ConvProblem& p, const std::string& implementation) {
  const bool depthwise = p.conv.groups > 1 && p.filter.c == 1;
  return !depthwise || p.filter.k % 8 == 0 || implementation.rfind("jit_uni", 0) != 0;
}

}  // namespace

std::unique_ptr<ConvKernel> make_onednn_kernel(const ConvProblem& problem, ConvMode mode,
                                               std::span<const float> multipliers) {
  check_problem(problem, mode, multipliers);
  if (problem.input_signed && !onednn_has_exact_s8()) return nullptr;
  const ConvProblem p = simplified(problem);
  const SpreadInput spread(p);
  if (!spread.possible()) return nullptr;
  const ConvProblem applied = spread.applied(p);
  if (!every_window_meets_input(applied)) return nullptr;  // oneDNN 2.6 may crash there with AMX
  auto convolution = OneDnnConvolution::create(int8_spec(applied, mode, multipliers));
  if (!convolution) return nullptr;
  const std::string implementation = convolution->implementation();
  if (mode == ConvMode::accumulator && !exact_accumulators(p, implementation)) return nullptr;
  if (!exact_depthwise(p, implementation)) return nullptr;
  return std::make_unique<OneDnnKernel>(std::move(convolution), spread);
}

std::string onednn_isa() {
  using dnnl::cpu_isa;
  switch (dnnl::get_effective_cpu_isa()) {
    case cpu_isa::sse41:
      return "sse41";
    case cpu_isa::avx:
      return "avx";
    case cpu_isa::avx2:
      return "avx2";
    case cpu_isa::avx2_vnni:
      return "avx2_vnni";
    case cpu_isa::avx512_core:
      return "avx512_core";
    case cpu_isa::avx512_core_vnni:
      return "avx512_core_vnni";
    case cpu_isa::avx512_core_bf16:
      return "avx512_core_bf16";
    case cpu_isa::avx512_core_amx:
      return "avx512_core_amx";
    default:
      return "other";
  }
}

}  // namespace qnudge
