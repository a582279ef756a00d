// SPDX-License-Identifier: MIT
#include "own_tile.hpp"

#include <cstring>

#include <dnnl.hpp>

#include "qnudge/kernels/requantise.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qnudge {
namespace {

using Segments = std::span<const std::int64_t>;
constexpr std::int64_t kRows = OwnTile::kRows, kChannels = OwnTile::kChannels;

inline __attribute__((always_inline)) void requantise_rows(const std::int32_t* acc, const std::int32_t* bias,
                                                           const float* m, std::int64_t rows, std::int64_t channels,
                                                           std::int32_t low, std::int32_t high, std::int8_t* code,
                                                           std::int64_t stride) {
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int8_t result[kChannels];  // a fixed count vectorises; channels beyond the last are dropped below
    for (std::int64_t k = 0; k < kChannels; ++k) {
      result[k] = to_code(biased(acc[r * kChannels + k], bias[k]) * m[k], low, high);
    }
    std::memcpy(code + r * stride, result, static_cast<std::size_t>(channels));
  }
}

void multiply_portable(const std::int16_t* const* corners, Segments segments, std::int64_t pairs,
                       const std::int16_t* weights, std::int32_t* acc) {
  for (std::int64_t r = 0; r < kRows; ++r) {
    std::int32_t sum[kChannels] = {};
    const std::int16_t* w = weights;
    for (const std::int64_t segment : segments) {
      const std::int16_t* x = corners[r] + segment;
      for (std::int64_t p = 0; p < pairs; ++p, x += 2, w += 2 * kChannels) {
        for (std::int64_t k = 0; k < kChannels; ++k) sum[k] += x[0] * w[2 * k] + x[1] * w[2 * k + 1];
      }
    }
    for (std::int64_t k = 0; k < kChannels; ++k) acc[r * kChannels + k] = sum[k];
  }
}

void requantise_portable(const std::int32_t* acc, const std::int32_t* bias, const float* m, std::int64_t rows,
                         std::int64_t channels, std::int32_t low, std::int32_t high, std::int8_t* code,
                         std::int64_t stride) {
  requantise_rows(acc, bias, m, rows, channels, low, high, code, stride);
}

constexpr OwnTile kPortable{"portable", multiply_portable, requantise_portable};

#if defined(__x86_64__)

/// Two neighbouring int16, for every 32-bit lane.
inline int pair_at(const std::int16_t* x) {
  int pair;
  __builtin_memcpy(&pair, x, sizeof pair);
  return pair;
}

__attribute__((target("avx2"))) void multiply_avx2(const std::int16_t* const* corners, Segments segments,
                                                   std::int64_t pairs, const std::int16_t* weights, std::int32_t* acc) {
  constexpr std::int64_t kHalf = 4;  // 8 accumulators: what 16 registers leave room for
  for (std::int64_t first = 0; first < kRows; first += kHalf) {
    __m256i sum[kHalf][2] = {};
    const std::int16_t* w = weights;
    for (const std::int64_t segment : segments) {
      for (std::int64_t p = 0; p < pairs; ++p, w += 2 * kChannels) {
        const auto* filter = reinterpret_cast<const __m256i*>(w);
        const __m256i w0 = _mm256_loadu_si256(filter), w1 = _mm256_loadu_si256(filter + 1);
        for (std::int64_t r = 0; r < kHalf; ++r) {
          const __m256i x = _mm256_set1_epi32(pair_at(corners[first + r] + segment + 2 * p));
          sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(x, w0));
          sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(x, w1));
        }
      }
    }
    for (std::int64_t r = 0; r < kHalf; ++r) {
      auto* to = reinterpret_cast<__m256i*>(acc + (first + r) * kChannels);
      _mm256_storeu_si256(to, sum[r][0]);
      _mm256_storeu_si256(to + 1, sum[r][1]);
    }
  }
}

__attribute__((target("avx2"))) void requantise_avx2(const std::int32_t* acc, const std::int32_t* bias, const float* m,
                                                     std::int64_t rows, std::int64_t channels, std::int32_t low,
                                                     std::int32_t high, std::int8_t* code, std::int64_t stride) {
  requantise_rows(acc, bias, m, rows, channels, low, high, code, stride);
}

__attribute__((target("avx512f,avx512bw"))) void multiply_avx512(const std::int16_t* const* corners, Segments segments,
                                                                 std::int64_t pairs, const std::int16_t* weights,
                                                                 std::int32_t* acc) {
  __m512i sum[kRows] = {};
  for (const std::int64_t segment : segments) {
    for (std::int64_t p = 0; p < pairs; ++p, weights += 2 * kChannels) {
      const __m512i w = _mm512_loadu_si512(weights);
      for (std::int64_t r = 0; r < kRows; ++r) {
        const __m512i x = _mm512_set1_epi32(pair_at(corners[r] + segment + 2 * p));
        sum[r] = _mm512_add_epi32(sum[r], _mm512_madd_epi16(x, w));
      }
    }
  }
  for (std::int64_t r = 0; r < kRows; ++r) _mm512_storeu_si512(acc + r * kChannels, sum[r]);
}

constexpr OwnTile kAvx2{"avx2", multiply_avx2, requantise_avx2};
constexpr OwnTile kAvx512{"avx512", multiply_avx512, requantise_avx2};

#endif

}  // namespace

const OwnTile& own_tile() {
#if defined(__x86_64__)
  using dnnl::cpu_isa;
  const cpu_isa isa = dnnl::get_effective_cpu_isa();
  const bool limited_to_avx2 = isa == cpu_isa::avx2 || isa == cpu_isa::avx2_vnni;
  const bool limited_to_sse = isa == cpu_isa::sse41 || isa == cpu_isa::avx;
  if (!limited_to_sse && !limited_to_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")) {
    return kAvx512;
  }
  if (!limited_to_sse && __builtin_cpu_supports("avx2")) return kAvx2;
#endif
  return kPortable;
}

}  // namespace qnudge
