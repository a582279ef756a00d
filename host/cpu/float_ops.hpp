// SPDX-License-Identifier: MIT
#pragma once

#include <span>

#include "qnudge/backend/float_pass.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// Every float operator but convolutions and products, over `n` images.
/// inputs: one pointer per input of `node`, [n, H, W, C] each, with the shapes `in`; y: [n, OH, OW, C].
/// For element-wise operators (see `works_in_place`) y may be the first input.
void run_float_op(const Node& node, std::span<const Shape> in, std::span<const float* const> inputs, std::int64_t n,
                  float* y);

bool works_in_place(Op op);

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
