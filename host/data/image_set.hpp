// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/data/readers.hpp"

namespace qnudge {

/// Most bytes that one set of images may hold: a hostile header cannot ask for more memory than this.
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{1} << 32;

/// What the network sees of a byte.
class ByteNormaliser {
 public:
  /// Throws Error(kind input) naming `origin` unless `normalisation` has a sane value for each channel.
  ByteNormaliser(const Normalisation& normalisation, std::int64_t channels, const std::string& origin);
  /// One image, HWC; as many floats as bytes.
  void apply(std::span<const std::uint8_t> pixels, std::span<float> out) const;

 private:
  std::vector<std::array<float, 256>> values_;  // [C] the normalised value of every byte
};

/// Labelled images as bytes, [samples, H, W, C].
struct ImageBytes {
  Shape shape;
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
};

/// A dataset that holds `images` in memory and normalises on read. `origin` names the files in messages and reports.
/// Throws Error(kind input) for a label outside [0, classes) and for a normalisation that does not fit the channels.
std::shared_ptr<const Dataset> make_image_set(ImageBytes images, std::int64_t classes,
                                              const Normalisation& normalisation, const std::string& format,
                                              const std::string& origin);

/// Throws Error(kind internal) unless image `index` exists and `out` has room for one of `shape`.
void check_read(const Dataset& dataset, std::int64_t index, std::span<float> out);

/// Throws Error(kind input) unless `path` is a regular file that can be opened.
void require_regular_file(const std::filesystem::path& path);

}  // namespace qnudge
