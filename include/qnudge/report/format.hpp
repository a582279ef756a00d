// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "qnudge/kernels/score.hpp"

namespace qnudge {

/// How numbers look to people, everywhere the same.

std::string percent_text(double fraction);     ///< 0.8545 -> "85.45 %"; not a number -> "-"
std::string points_text(double fraction);      ///< 0.0831 -> "+8.31" percentage points
std::string count_text(std::int64_t value);    ///< 1234567 -> "1,234,567"
std::string rate_text(double per_second);      ///< 512345 -> "512 k", 1234567 -> "1.23 M"
std::string bytes_text(std::int64_t bytes);    ///< 40960 -> "40.0 KiB"; below 1024 "40 B"
std::string duration_text(double seconds);     ///< 4.26 -> "4.3 s", 192 -> "3 min 12 s", 3725 -> "1 h 02 min"
std::string p_value_text(double probability);  ///< "p = 0.031"; "p < 1e-6" below that

/// A fitness value (kernels/score.hpp) over `images` as people read it: accuracy "85.45 %" for top1 and
/// top1_then_cross_entropy, mean error "error 512.3" in steps of its grid squared for reconstruction, mean loss
/// "0.4312 nats" otherwise.
std::string fitness_text(FitnessKind kind, std::int64_t fitness, std::int64_t images);

}  // namespace qnudge
