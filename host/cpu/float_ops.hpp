// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/backend/float_pass.hpp"

namespace qnudge {

/// Largest |value|; NaN if there is one, else infinity if there is one.
float largest_magnitude(const float* x, std::int64_t count);

/// sums[c] = sum over positions of x[position, c], in order.
void channel_sums(const float* x, std::int64_t positions, std::int64_t channels, double* sums);

/// Squared error of clamp(rint(x / step), -128, 127) * step, for a step that is a power of two.
double squared_error(const float* x, std::int64_t count, float step);

/// Writes the samples that `wanted` asks of images first .. first + images - 1, whose values are [images, H, W, C].
void sample_positions(const FloatSamples& wanted, std::int64_t first, std::int64_t images, const Shape& shape,
                      const float* values);

}  // namespace qnudge
