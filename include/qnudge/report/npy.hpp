// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace qnudge {

/// Writes a little-endian, C-ordered array as NumPy's .npy (format version 1.0), atomically. The product of `shape` is
/// the number of values, else Error(kind internal). Throws Error(kind usage) when the file cannot be written.
void write_npy(const std::filesystem::path& path, std::span<const std::int32_t> values,
               const std::vector<std::int64_t>& shape);
void write_npy(const std::filesystem::path& path, std::span<const float> values,
               const std::vector<std::int64_t>& shape);

}  // namespace qnudge
