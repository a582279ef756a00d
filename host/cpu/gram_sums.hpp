// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/quant/gram.hpp"
#include "sampled_rows.hpp"

namespace qnudge {

/// sums[i * n + j] += sum over rows of a[row * a_stride + i] * b[row * b_stride + j], i < m, j < n, over at most
/// kProductRows rows: exact int32 sums of 8-bit products. `sum` is [m, n], scratch of the same size.
using ByteProduct = void (*)(std::int64_t rows, const std::int8_t* a, std::int64_t a_stride, std::int64_t m,
                             bool a_signed, const std::int8_t* b, std::int64_t b_stride, std::int64_t n,
                             std::int32_t* sum);
constexpr std::int64_t kProductRows = 131'071;  // 128 * 128 * rows stays below 2^31

/// oneDNN's matrix product on all of OpenMP's threads; plain loops for signed `a` on processors where the vendor's
/// product may saturate.
void vendor_product(std::int64_t rows, const std::int8_t* a, std::int64_t a_stride, std::int64_t m, bool a_signed,
                    const std::int8_t* b, std::int64_t b_stride, std::int64_t n, std::int32_t* sum);
void plain_product(std::int64_t rows, const std::int8_t* a, std::int64_t a_stride, std::int64_t m, bool a_signed,
                   const std::int8_t* b, std::int64_t b_stride, std::int64_t n, std::int32_t* sum);

/// Sums over all rows of `sampled`. `inputs_signed` false: every input code is in [0, 127].
GramSums gram_sums(const IntNetwork& network, const Layer& layer, const SampledRows& sampled,
                   const LayerTargets& targets, bool inputs_signed, ByteProduct product, int threads);

}  // namespace qnudge
