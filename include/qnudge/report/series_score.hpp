// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>

#include "qnudge/report/run_report.hpp"

namespace qnudge {

/// Scores of reconstruction errors (kernels/reconstruction.hpp), each of `values` differences on the grid of an input
/// of scale 2^exponent.

/// Their mean, in units of the samples.
Score error_score(std::span<const std::int64_t> errors, std::int64_t values, int exponent);

/// F1 at `threshold`, and the best there is on these very steps.
Score f1_score(std::span<const std::int64_t> errors, std::span<const std::int32_t> labels, std::int64_t threshold,
               std::int64_t values, int exponent);

}  // namespace qnudge
