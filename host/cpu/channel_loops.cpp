// SPDX-License-Identifier: MIT
#include "channel_loops.hpp"

#include "vector_levels.hpp"

namespace qnudge {
namespace {

/// `error` by value and `errors` restricted: no store can then change what the loop reads, and it becomes vectors.
template <class Value>
inline __attribute__((always_inline)) void add(ChannelError error, std::int64_t first, std::int64_t rows,
                                               std::int64_t channels, const Value* values,
                                               std::int64_t* __restrict errors) {
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t begin = (first + row) * channels;
    for (std::int64_t k = 0; k < channels; ++k) errors[k] += error(begin + k, values[row * channels + k]);
  }
}

}  // namespace

QNUDGE_VECTOR_LEVELS
void add_channel_errors(const ChannelError& error, std::int64_t first, std::int64_t rows, std::int64_t channels,
                        const std::int8_t* codes, std::int64_t* errors) {
  if (error.target.shortcut == nullptr) {
    ChannelError plain = error;
    plain.target.shortcut = nullptr;
    add(plain, first, rows, channels, codes, errors);
  } else {
    add(error, first, rows, channels, codes, errors);
  }
}

QNUDGE_VECTOR_LEVELS
void add_channel_errors(const ChannelError& error, std::int64_t first, std::int64_t rows, std::int64_t channels,
                        const float* values, std::int64_t* errors) {
  add(error, first, rows, channels, values, errors);
}

}  // namespace qnudge
