// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>
#include <vector>

#include "conv_shape.hpp"
#include "own_tile.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/kernels/requantise.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kRows = OwnTile::kRows, kChannels = OwnTile::kChannels;

/// Direct convolution over an int16 copy of one image, spread and padded, so that every tap of every output lies at a
/// fixed distance from that output's corner. Taps come in segments of neighbouring values: whole filter rows where
/// nothing lies between them, else single pixels.
/// Packed filter: [groups, blocks of 16 channels, segments, pairs, 16, 2] int16, zeros beyond the last channel and tap.
class OwnKernel final : public ConvKernel {
 public:
  OwnKernel(const ConvProblem& problem, ConvMode mode, std::span<const float> multipliers)
      : p_(problem), mode_(mode), tile_(own_tile()), multipliers_(multipliers.begin(), multipliers.end()) {
    multipliers_.resize(multipliers_.size() + kChannels, 1.0f);  // the last block reads 16 of them
    group_channels_ = p_.filter.k / p_.conv.groups;
    blocks_ = (group_channels_ + kChannels - 1) / kChannels;
    const Window& w = p_.conv.window;
    padded_h_ = (p_.in.h - 1) * p_.conv.spread_h + 1 + w.pad_top + w.pad_bottom;
    padded_w_ = (p_.in.w - 1) * p_.conv.spread_w + 1 + w.pad_left + w.pad_right;
    const bool whole_rows = w.dilation_w == 1 && p_.conv.groups == 1;
    run_ = whole_rows ? p_.filter.s * p_.filter.c : p_.filter.c;
    pairs_ = (run_ + 1) / 2;
    for (std::int64_t r = 0; r < p_.filter.r; ++r) {
      for (std::int64_t s = 0; s < (whole_rows ? 1 : p_.filter.s); ++s) {
        segments_.push_back((r * w.dilation_h * padded_w_ + s * w.dilation_w) * p_.in.c);
      }
    }
  }

  std::string description() const override { return std::string("qnudge ") + tile_.name; }
  std::size_t packed_bytes() const override {
    return AlignedBuffer::round_up(static_cast<std::size_t>(p_.conv.groups * blocks_ * block_elements()) *
                                   sizeof(std::int16_t));
  }
  std::size_t scratch_bytes() const override {
    return image_bytes() +
           AlignedBuffer::round_up(static_cast<std::size_t>(p_.filter.k + kChannels) * sizeof(std::int32_t));
  }

  using ConvKernel::pack;
  void pack(const std::int8_t* codes, std::byte* packed, std::byte*) const override {
    std::memset(packed, 0, packed_bytes());
    auto* out = reinterpret_cast<std::int16_t*>(packed);
    const std::int64_t taps = p_.filter.taps();
    for (std::int64_t k = 0; k < p_.filter.k; ++k) {
      const std::int64_t group = k / group_channels_, within = k % group_channels_;
      std::int16_t* block = out + (group * blocks_ + within / kChannels) * block_elements() + within % kChannels * 2;
      for (std::int64_t first = 0; first < taps; first += run_, block += pairs_ * 2 * kChannels) {
        for (std::int64_t t = 0; t < run_; ++t) block[t / 2 * 2 * kChannels + t % 2] = codes[k * taps + first + t];
      }
    }
  }

  void run(const void* x, const std::byte* packed, const std::int32_t* bias, void* y,
           std::byte* scratch) const override {
    auto* image = reinterpret_cast<std::int16_t*>(scratch);
    auto* padded_bias = reinterpret_cast<std::int32_t*>(scratch + image_bytes());
    if (mode_ == ConvMode::codes) {
      std::copy_n(bias, p_.filter.k, padded_bias);
      std::fill_n(padded_bias + p_.filter.k, kChannels, 0);
    }
    const auto* filters = reinterpret_cast<const std::int16_t*>(packed);
    for (std::int64_t n = 0; n < p_.n; ++n) {
      widen(static_cast<const std::int8_t*>(x) + n * p_.in.size(), image);
      for (std::int64_t group = 0; group < p_.conv.groups; ++group) {
        for (std::int64_t b = 0; b < blocks_; ++b) {
          const std::int16_t* block = filters + (group * blocks_ + b) * block_elements();
          convolve(image + group * p_.filter.c, block, group, b, n * p_.out.h * p_.out.w, padded_bias, y);
        }
      }
    }
  }

 private:
  std::int64_t block_elements() const { return static_cast<std::int64_t>(segments_.size()) * pairs_ * 2 * kChannels; }
  std::int64_t image_elements() const { return padded_h_ * padded_w_ * p_.in.c; }
  std::size_t image_bytes() const {  // an odd segment reads one value beyond its end
    return AlignedBuffer::round_up(static_cast<std::size_t>(image_elements() + 1) * sizeof(std::int16_t));
  }

  void widen(const std::int8_t* x, std::int16_t* image) const {
    const Window& w = p_.conv.window;
    std::fill_n(image, image_elements() + 1, std::int16_t{0});
    for (std::int64_t iy = 0; iy < p_.in.h; ++iy) {
      const std::int64_t y = iy * p_.conv.spread_h + w.pad_top;
      if (y < 0 || y >= padded_h_) continue;
      const std::int8_t* from = x + iy * p_.in.w * p_.in.c;
      std::int16_t* row = image + y * padded_w_ * p_.in.c;
      if (p_.conv.spread_w == 1 && w.pad_left >= 0 && w.pad_right >= 0) {
        std::copy_n(from, p_.in.w * p_.in.c, row + w.pad_left * p_.in.c);
        continue;
      }
      for (std::int64_t ix = 0; ix < p_.in.w; ++ix) {
        const std::int64_t at = ix * p_.conv.spread_w + w.pad_left;
        if (at >= 0 && at < padded_w_) std::copy_n(from + ix * p_.in.c, p_.in.c, row + at * p_.in.c);
      }
    }
  }

  /// One block of channels at every position of one image.
  void convolve(const std::int16_t* image, const std::int16_t* block, std::int64_t group, std::int64_t b,
                std::int64_t first, const std::int32_t* bias, void* y) const {
    const std::int64_t k = group * group_channels_ + b * kChannels;
    const std::int64_t channels = std::min(kChannels, group_channels_ - b * kChannels);
    const std::int64_t positions = p_.out.h * p_.out.w;
    alignas(64) std::int32_t acc[kRows * kChannels];
    for (std::int64_t i = 0; i < positions; i += kRows) {
      const std::int16_t* corners[kRows];
      for (std::int64_t r = 0; r < kRows; ++r) corners[r] = image + corner(std::min(i + r, positions - 1));
      tile_.multiply(corners, segments_, pairs_, block, acc);
      store(acc, std::min(kRows, positions - i), k, channels, (first + i) * p_.filter.k + k, bias, y);
    }
  }

  std::int64_t corner(std::int64_t position) const {
    const Window& w = p_.conv.window;
    const std::int64_t y = position / p_.out.w * w.stride_h, x = position % p_.out.w * w.stride_w;
    return (y * padded_w_ + x) * p_.in.c;
  }

  void store(const std::int32_t* acc, std::int64_t rows, std::int64_t k, std::int64_t channels, std::int64_t at,
             const std::int32_t* bias, void* y) const {
    if (mode_ == ConvMode::codes && !p_.float_output) {
      tile_.requantise(acc, bias + k, multipliers_.data() + k, rows, channels, p_.low, p_.high,
                       static_cast<std::int8_t*>(y) + at, p_.filter.k);
      return;
    }
    for (std::int64_t r = 0; r < rows; ++r, at += p_.filter.k, acc += kChannels) {
      if (mode_ == ConvMode::accumulator) {
        std::copy_n(acc, channels, static_cast<std::int32_t*>(y) + at);
      } else {
        const Dequantise rule{acc,      bias + k,   multipliers_.data() + k, static_cast<float*>(y) + at,
                              channels, p_.low == 0};
        for (std::int64_t c = 0; c < channels; ++c) rule(c);
      }
    }
  }

  ConvProblem p_;
  ConvMode mode_;
  const OwnTile& tile_;
  std::vector<float> multipliers_;  // [K + 16]
  std::int64_t group_channels_ = 0, blocks_ = 0, padded_h_ = 0, padded_w_ = 0;
  std::int64_t run_ = 0, pairs_ = 0;    // of one segment
  std::vector<std::int64_t> segments_;  // distance of each from the corner
};

}  // namespace

std::unique_ptr<ConvKernel> make_own_kernel(const ConvProblem& problem, ConvMode mode,
                                            std::span<const float> multipliers) {
  check_problem(problem, mode, multipliers);
  return std::make_unique<OwnKernel>(simplified(problem), mode, multipliers);
}

}  // namespace qnudge
