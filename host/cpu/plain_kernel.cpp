// SPDX-License-Identifier: MIT
#include <cstring>
#include <vector>

#include "conv_shape.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/kernels/requantise.hpp"

namespace qnudge {
namespace {

/// The definition, loop by loop.
class PlainKernel final : public ConvKernel {
 public:
  PlainKernel(const ConvProblem& problem, ConvMode mode, std::span<const float> multipliers)
      : p_(problem), mode_(mode), multipliers_(multipliers.begin(), multipliers.end()) {}

  std::string description() const override { return "plain integer loops"; }
  std::size_t packed_bytes() const override {
    return AlignedBuffer::round_up(static_cast<std::size_t>(p_.filter.size()));
  }
  std::size_t scratch_bytes() const override { return 0; }

  using ConvKernel::pack;
  void pack(const std::int8_t* codes, std::byte* packed, std::byte*) const override {
    std::memcpy(packed, codes, static_cast<std::size_t>(p_.filter.size()));
  }

  void run(const void* x, const std::byte* packed, const std::int32_t* bias, void* y, std::byte*) const override {
    const auto* codes = reinterpret_cast<const std::int8_t*>(packed);
    std::int64_t i = 0;
    for (std::int64_t n = 0; n < p_.n; ++n) {
      const std::int8_t* image = static_cast<const std::int8_t*>(x) + n * p_.in.size();
      for (std::int64_t oy = 0; oy < p_.out.h; ++oy) {
        stop_point();
        for (std::int64_t ox = 0; ox < p_.out.w; ++ox) {
          for (std::int64_t k = 0; k < p_.filter.k; ++k, ++i) {
            store(accumulate(image, codes + k * p_.filter.taps(), oy, ox, k), bias, k, y, i);
          }
        }
      }
    }
  }

 private:
  std::int32_t accumulate(const std::int8_t* image, const std::int8_t* w, std::int64_t oy, std::int64_t ox,
                          std::int64_t k) const {
    const std::int64_t c0 = k / (p_.filter.k / p_.conv.groups) * p_.filter.c;
    std::int32_t acc = 0;
    for (std::int64_t r = 0; r < p_.filter.r; ++r) {
      const std::int64_t iy = input_row(p_, oy, r);
      if (iy < 0) continue;
      for (std::int64_t s = 0; s < p_.filter.s; ++s) {
        const std::int64_t ix = input_column(p_, ox, s);
        if (ix < 0) continue;
        const std::int8_t* in = image + (iy * p_.in.w + ix) * p_.in.c + c0;
        const std::int8_t* tap = w + (r * p_.filter.s + s) * p_.filter.c;
        for (std::int64_t c = 0; c < p_.filter.c; ++c) acc += in[c] * tap[c];
      }
    }
    return acc;
  }

  void store(std::int32_t acc, const std::int32_t* bias, std::int64_t k, void* y, std::int64_t i) const {
    if (mode_ == ConvMode::accumulator) {
      static_cast<std::int32_t*>(y)[i] = acc;
    } else if (p_.float_output) {
      Dequantise{&acc, bias + k,   &multipliers_[static_cast<std::size_t>(k)], static_cast<float*>(y) + i,
                 1,    p_.low == 0}(0);
    } else {
      Requantise{&acc,   bias + k, &multipliers_[static_cast<std::size_t>(k)], static_cast<std::int8_t*>(y) + i, 1,
                 p_.low, p_.high}(0);
    }
  }

  ConvProblem p_;
  ConvMode mode_;
  std::vector<float> multipliers_;
};

}  // namespace

std::unique_ptr<ConvKernel> make_plain_kernel(const ConvProblem& problem, ConvMode mode,
                                              std::span<const float> multipliers) {
  check_problem(problem, mode, multipliers);
  return std::make_unique<PlainKernel>(problem, mode, multipliers);
}

}  // namespace qnudge
