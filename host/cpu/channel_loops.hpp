// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "qnudge/kernels/channel_error.hpp"

namespace qnudge {

/// errors[k] += error of element (first + row, k) over all rows, for output values [rows, channels]: the shared
/// functor, compiled for several instruction-set levels where the compiler can.
void add_channel_errors(const ChannelError& error, std::int64_t first, std::int64_t rows, std::int64_t channels,
                        const std::int8_t* codes, std::int64_t* errors);
void add_channel_errors(const ChannelError& error, std::int64_t first, std::int64_t rows, std::int64_t channels,
                        const float* values, std::int64_t* errors);

}  // namespace qnudge
