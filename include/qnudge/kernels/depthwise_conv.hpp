// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/core/half.hpp"
#include "qnudge/core/host_device.hpp"
#include "qnudge/kernels/byte_words.hpp"
#include "qnudge/kernels/conv_code.hpp"
#include "qnudge/kernels/divisor.hpp"

/// Convolutions of codes in which every channel has a filter of its own and reads one input channel. Candidates'
/// channels are channels like others: what candidates share repeats itself every C channels.
namespace qnudge {

/// All that a pack of neighbouring channels needs beside its inputs, so that a device reads it in whole transactions:
/// to[row, pack] are four words. For every row of the filter, and every four taps of that row, there are lanes / 4 rows
/// here: row j has the taps, a byte each and zero beyond the last, of the pack's channels 4 j .. 4 j + 3, a word each.
/// Then come lanes / 4 rows of biases, and of multipliers.
struct DepthwiseTable {
  const std::int8_t* w;  ///< [channels, R, S]
  const float* bias;     ///< [channels]
  const float* m;        ///< [channels]
  FourWords* to;         ///< [rows(), packs()]
  std::int32_t channels, r, s, lanes;

  QNUDGE_HOST_DEVICE std::int32_t packs() const { return channels / lanes; }
  QNUDGE_HOST_DEVICE std::int32_t words() const { return lanes / 4; }
  QNUDGE_HOST_DEVICE std::int32_t fours() const { return (s + 3) / 4; }  ///< of a row of the filter
  QNUDGE_HOST_DEVICE std::int32_t tap_rows() const { return r * fours() * words(); }
  QNUDGE_HOST_DEVICE std::int32_t rows() const { return tap_rows() + 2 * words(); }
  QNUDGE_HOST_DEVICE std::int64_t size() const { return std::int64_t{4} * rows() * packs(); }  ///< in words

  /// Word i.
  QNUDGE_HOST_DEVICE void operator()(std::int64_t i) const {
    const auto pack = static_cast<std::int32_t>(i / 4 % packs()), row = static_cast<std::int32_t>(i / 4 / packs());
    const std::int32_t channel = pack * lanes + row % words() * 4 + static_cast<std::int32_t>(i % 4);
    std::uint32_t word = 0;
    if (row < tap_rows()) {
      const std::int32_t four = row / words(), first = four % fours() * 4;
      const std::int8_t* const taps = w + (std::int64_t{channel} * r + four / fours()) * s;
      for (std::int32_t t = 0; t < 4 && first + t < s; ++t) {
        word |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(taps[first + t])) << (8 * t);
      }
    } else {
      word = bits_of(row < tap_rows() + words() ? bias[channel] : m[channel]);
    }
    to[i / 4].v[i % 4] = word;
  }
};

/// How the threads of blocks share the outputs: neighbouring threads have neighbouring packs, so that they read whole
/// lines, and a block has a tile of pixels, whose windows overlap.
struct DepthwiseTiles {
  static constexpr std::int32_t kThreads = 256;

  std::int32_t packs, width, rows;  ///< of a pixel; pixels of a row; rows of all images
  std::int32_t packs_log2, width_log2;
  Divisor pack_tiles, width_tiles;

  struct Place {
    std::int32_t row, x, pack;
  };

  /// `line_packs`: packs of 128 bytes.
  static DepthwiseTiles of(std::int32_t packs, std::int32_t width, std::int32_t rows, std::int32_t line_packs) {
    const auto log2_up = [](std::int32_t count) {
      std::int32_t bits = 0;
      while (1 << bits < count) ++bits;
      return bits;
    };
    DepthwiseTiles t{
        packs, width, rows, log2_up(packs < line_packs ? packs : line_packs), log2_up(width < 8 ? width : 8), {}, {}};
    t.pack_tiles = (packs + (1 << t.packs_log2) - 1) >> t.packs_log2;
    t.width_tiles = (width + (1 << t.width_log2) - 1) >> t.width_log2;
    return t;
  }
  QNUDGE_HOST_DEVICE std::int32_t tile_rows() const { return kThreads >> (packs_log2 + width_log2); }
  std::int64_t blocks() const {
    return (std::int64_t{rows} + tile_rows() - 1) / tile_rows() * width_tiles * pack_tiles;
  }
  /// May be outside.
  QNUDGE_HOST_DEVICE Place at(std::int32_t block, std::int32_t thread) const {
    const std::int32_t tile = block / pack_tiles, pack_tile = block - tile * static_cast<std::int32_t>(pack_tiles);
    const std::int32_t tile_row = tile / width_tiles;
    const std::int32_t tile_column = tile - tile_row * static_cast<std::int32_t>(width_tiles);
    return {tile_row * tile_rows() + (thread >> (packs_log2 + width_log2)),
            (tile_column << width_log2) + (thread >> packs_log2 & ((1 << width_log2) - 1)),
            (pack_tile << packs_log2) + (thread & ((1 << packs_log2) - 1))};
  }
  QNUDGE_HOST_DEVICE bool holds(const Place& p) const { return p.row < rows && p.x < width && p.pack < packs; }
};

/// kLanes bytes that move in one transaction.
template <int kLanes>
struct alignas(kLanes) LaneCodes {
  std::uint32_t v[kLanes / 4];
};

/// A depthwise convolution, kLanes channels of kPixels neighbouring pixels at a time: code[n, oy, ox, p, c] as
/// PlainConv has it. All counts of elements are below 2^31. Two pixels at a time read the same four columns, which
/// stride_w and dilation_w must be 1 and s at most 3 for.
template <int kLanes, int kPixels>
struct DepthwiseConv {
  static_assert(kPixels == 1 || kPixels == 2);
  static constexpr int kWords = kLanes / 4;
  using Codes = LaneCodes<kLanes>;

  const Codes* x;                    ///< [N, H, W, input packs]
  const FourWords* table;            ///< [rows, table packs] by DepthwiseTable
  const Codes* residual;             ///< [N, OH, OW, packs], or nullptr
  Codes* code;                       ///< [N, OH, OW, packs]
  DepthwiseTiles tiles;              ///< of ceil(OW / kPixels) x (N * OH)
  Divisor input_packs, table_packs;  ///< of all candidates or of one: packs beyond are those before again
  Divisor out_h;
  std::int32_t in_h, in_w, out_w;
  std::int32_t r, s;  ///< of the filter
  std::int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  ConvCode<std::int8_t> element;

  /// The part of one thread of one block.
  QNUDGE_HOST_DEVICE void operator()(std::int32_t block, std::int32_t thread) const {
    const DepthwiseTiles::Place at = tiles.at(block, thread);
    if (!tiles.holds(at)) return;
    auto entry = static_cast<std::uint32_t>(at.pack % table_packs);
    std::int32_t sums[kPixels][kLanes] = {};
    accumulate(at, entry, sums);
    const std::int32_t ox = at.x * kPixels;
    const auto to = static_cast<std::uint32_t>((at.row * out_w + ox) * tiles.packs + at.pack);
    if (residual == nullptr) {
      finish(ox, to, entry, [&](int q, int i, float bias, float m) { return element(sums[q][i], bias, m); });
    } else {
      Codes others[kPixels] = {};
      for (int q = 0; q < kPixels; ++q) {
        if (ox + q < out_w) others[q] = residual[to + static_cast<std::uint32_t>(q * tiles.packs)];
      }
      finish(ox, to, entry, [&](int q, int i, float bias, float m) {
        return element(sums[q][i], bias, m, byte_of(others[q].v[i / 4], i % 4));
      });
    }
  }

 private:
  /// Adds up the taps; `entry` ends where the biases are.
  QNUDGE_HOST_DEVICE void accumulate(const DepthwiseTiles::Place& at, std::uint32_t& entry,
                                     std::int32_t (&sums)[kPixels][kLanes]) const {
    const auto pixel = static_cast<std::int32_t>(input_packs);
    const std::int32_t n = at.row / out_h, oy = at.row - n * static_cast<std::int32_t>(out_h);
    const std::int32_t first_x = at.x * kPixels * stride_w - pad_left;
    std::int32_t iy = oy * stride_h - pad_top;
    for (std::int32_t row = 0; row < r; ++row, iy += dilation_h) {
      const bool row_inside = static_cast<std::uint32_t>(iy) < static_cast<std::uint32_t>(in_h);
      std::int32_t ix = first_x, from = ((n * in_h + iy) * in_w + ix) * pixel + at.pack % input_packs;
      for (std::int32_t left = s; left > 0; left -= 4) {
        Codes taps[4];
        for (int t = 0; t < 4; ++t, ix += dilation_w, from += dilation_w * pixel) {
          taps[t] = Codes{};
          const bool inside = row_inside && static_cast<std::uint32_t>(ix) < static_cast<std::uint32_t>(in_w);
          if (inside && t < left + kPixels - 1) taps[t] = x[static_cast<std::uint32_t>(from)];
        }
        add_taps(taps, entry, sums);
      }
    }
  }

  QNUDGE_HOST_DEVICE void add_taps(const Codes (&taps)[4], std::uint32_t& entry,
                                   std::int32_t (&sums)[kPixels][kLanes]) const {
    for (int j = 0; j < kWords; ++j, entry += static_cast<std::uint32_t>(std::int64_t{table_packs})) {
      const FourWords weights = table[entry];
      const FourWords inputs = transposed_bytes(taps[0].v[j], taps[1].v[j], taps[2].v[j], taps[3].v[j]);
      for (int q = 0; q < kPixels; ++q) {  // the next pixel's window is one column further
        for (int c = 0; c < 4; ++c) {
          sums[q][4 * j + c] = dot_bytes(inputs.v[c], weights.v[c] << (8 * q), sums[q][4 * j + c]);
        }
      }
    }
  }

  template <class Element>
  QNUDGE_HOST_DEVICE void finish(std::int32_t ox, std::uint32_t to, std::uint32_t entry,
                                 const Element& element_of) const {
    const auto step = static_cast<std::uint32_t>(std::int64_t{table_packs});
    Codes y[kPixels] = {};
    for (int j = 0; j < kWords; ++j, entry += step) {
      const FourWords bias = table[entry], m = table[entry + kWords * step];
      for (int q = 0; q < kPixels; ++q) {
        for (int c = 0; c < 4; ++c) {
          const std::int8_t code_of = element_of(q, 4 * j + c, float_of(bias.v[c]), float_of(m.v[c]));
          y[q].v[j] |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(code_of)) << (8 * c);
        }
      }
    }
    for (int q = 0; q < kPixels; ++q) {
      if (ox + q < out_w) code[to + static_cast<std::uint32_t>(q * tiles.packs)] = y[q];
    }
  }
};

}  // namespace qnudge
