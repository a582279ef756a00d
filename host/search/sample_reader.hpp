// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/backend/float_pass.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// Samples of `indices` in that order; both outlive the reader.
inline SampleReader reader_of(const Dataset& dataset, const Indices& indices) {
  return [&dataset, &indices](std::int64_t first, std::int64_t count, std::span<float> out) {
    const auto size = static_cast<std::size_t>(dataset.shape().size());
    for (std::int64_t i = 0; i < count; ++i) {
      dataset.read(indices[static_cast<std::size_t>(first + i)], out.subspan(static_cast<std::size_t>(i) * size, size));
    }
  };
}

}  // namespace qnudge
