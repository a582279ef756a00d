// SPDX-License-Identifier: MIT
#include "gram_sums.hpp"

#include <dnnl.h>
#include <omp.h>

#include <algorithm>

#include "onednn_convolution.hpp"
#include "qnudge/backend/channel_target.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {
namespace {

/// Within one call of the library, which takes OpenMP's setting.
class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadCount() { omp_set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

/// Targets minus shortcut of all rows as two bytes each, value = 256 * high + low: [rows, K] each.
struct SplitTargets {
  std::vector<std::int8_t> high, low;
};

SplitTargets split_targets(const ChannelTarget& target, std::int64_t count) {
  SplitTargets split;
  split.high.resize(static_cast<std::size_t>(count));
  split.low.resize(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int32_t t = target.without_shortcut(i);
    const auto low = static_cast<std::int8_t>(t);
    split.low[static_cast<std::size_t>(i)] = low;
    split.high[static_cast<std::size_t>(i)] = static_cast<std::int8_t>((t - low) / 256);
  }
  return split;
}

/// Rows that one call of the library multiplies: within its int32 sums, and short enough for a stop.
std::int64_t rows_per_product(std::int64_t taps) {
  constexpr std::int64_t kProducts = std::int64_t{1} << 34, kLeast = 256;
  return std::clamp(kProducts / (taps * taps), kLeast, kProductRows);
}

void add(std::span<const std::int32_t> from, std::int64_t factor, std::span<std::int64_t> to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[i] += factor * from[i];
}

}  // namespace

void vendor_product(std::int64_t rows, const std::int8_t* a, std::int64_t a_stride, std::int64_t m, bool a_signed,
                    const std::int8_t* b, std::int64_t b_stride, std::int64_t n, std::int32_t* sum) {
  if (a_signed && !onednn_has_exact_s8()) return plain_product(rows, a, a_stride, m, a_signed, b, b_stride, n, sum);
  require_room_for_code();
  const std::int32_t none = 0;
  const dnnl_status_t status =
      a_signed ? dnnl_gemm_s8s8s32('T', 'N', 'F', m, n, rows, 1.0f, a, a_stride, 0, b, b_stride, 0, 0.0f, sum, n, &none)
               : dnnl_gemm_u8s8s32('T', 'N', 'F', m, n, rows, 1.0f, reinterpret_cast<const std::uint8_t*>(a), a_stride,
                                   0, b, b_stride, 0, 0.0f, sum, n, &none);
  require(status == dnnl_success, ErrorKind::internal, "oneDNN failed to multiply: status {}",
          static_cast<int>(status));
}

void plain_product(std::int64_t rows, const std::int8_t* a, std::int64_t a_stride, std::int64_t m, bool,
                   const std::int8_t* b, std::int64_t b_stride, std::int64_t n, std::int32_t* sum) {
  std::fill_n(sum, m * n, 0);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < m; ++i) {
      const std::int32_t factor = a[row * a_stride + i];
      for (std::int64_t j = 0; j < n; ++j) sum[i * n + j] += factor * b[row * b_stride + j];
    }
  }
}

GramSums gram_sums(const IntNetwork& network, const Layer& layer, const SampledRows& sampled,
                   const LayerTargets& targets, bool inputs_signed, ByteProduct product, int threads) {
  const ThreadCount within(threads);
  const std::int64_t taps = sampled.taps, groups = sampled.groups, width = groups * taps, channels = layer.filter.k;
  const std::int64_t group_channels = channels / groups;
  GramSums sums{
      .rows = sampled.rows, .groups = groups, .channels = channels, .taps = taps, .x = {}, .xx = {}, .t = {}, .xt = {}};
  sums.x.resize(static_cast<std::size_t>(width));
  sums.xx.resize(static_cast<std::size_t>(width * taps));
  sums.t.resize(static_cast<std::size_t>(channels));
  sums.xt.resize(static_cast<std::size_t>(channels * taps));
  const SplitTargets split = split_targets(channel_target(network, targets, sampled.shortcut), sampled.rows * channels);
  std::vector<std::int32_t> partial(static_cast<std::size_t>(taps * std::max(taps, group_channels)));

  const std::int64_t rows_at_once = rows_per_product(taps);
  for (std::int64_t first = 0; first < sampled.rows; first += rows_at_once) {
    stop_point();
    const std::int64_t rows = std::min(rows_at_once, sampled.rows - first);
    const std::int8_t* const x = sampled.codes() + first * width;
    for (std::int64_t g = 0; g < groups; ++g) {
      const std::int8_t* const inputs = x + g * taps;
      product(rows, inputs, width, taps, inputs_signed, inputs, width, taps, partial.data());
      add(std::span(partial).first(static_cast<std::size_t>(taps * taps)), 1,
          std::span(sums.xx).subspan(static_cast<std::size_t>(g * taps * taps)));
      for (const auto& [bytes, factor] : {std::pair(&split.high, 256), std::pair(&split.low, 1)}) {
        product(rows, inputs, width, taps, inputs_signed, bytes->data() + first * channels + g * group_channels,
                channels, group_channels, partial.data());
        for (std::int64_t j = 0; j < taps; ++j) {
          for (std::int64_t k = 0; k < group_channels; ++k) {
            sums.xt[static_cast<std::size_t>((g * group_channels + k) * taps + j)] +=
                std::int64_t{factor} * partial[static_cast<std::size_t>(j * group_channels + k)];
          }
        }
      }
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t j = 0; j < width; ++j) sums.x[static_cast<std::size_t>(j)] += x[row * width + j];
      for (std::int64_t k = 0; k < channels; ++k) {
        const auto i = static_cast<std::size_t>((first + row) * channels + k);
        sums.t[static_cast<std::size_t>(k)] += 256 * split.high[i] + split.low[i];
      }
    }
  }
  return sums;
}

}  // namespace qnudge
