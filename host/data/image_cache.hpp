// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/block_file.hpp"

namespace qnudge {

/// The files of a dataset and what is done to them.
struct ImageSources {
  std::filesystem::path folder;
  std::vector<std::string> names;  ///< relative to `folder`
  std::int64_t resize = 0;         ///< shorter side; 0: as it is
  std::int64_t crop = 0;           ///< side of what is left

  std::int64_t image_bytes() const { return crop * crop * 3; }
};

/// All images of a folder, decoded, resized and cropped, in one file: [images, crop, crop, 3] bytes behind a header
/// with the fingerprint of the sources (names, sizes, times of change, preprocessing) and a checksum per image. Only
/// the checksums are in memory.
class ImageCache {
 public:
  /// Opens the file of `sources` in `folder` (created if missing) or, where it is missing, cut short or made from other
  /// sources, decodes all images on `threads` threads (0: one per core) and writes it. Logs what it does and how far it
  /// is. Throws Error: input, naming the first image that cannot be decoded; usage where nothing can be written.
  ImageCache(const ImageSources& sources, const std::filesystem::path& folder, int threads);

  /// Pixels of one image; throws Error(kind input) where they are not what was written. From any thread.
  void read(std::int64_t index, std::span<std::uint8_t> pixels) const;
  std::span<const std::uint64_t> checksums() const { return checksums_; }  ///< [images]

 private:
  bool load(const std::filesystem::path& path, const std::string& header);

  std::size_t image_bytes_;
  std::vector<std::uint64_t> checksums_;
  std::filesystem::path path_;
  std::unique_ptr<BlockReader> file_;
};

/// $XDG_CACHE_HOME/qnudge, else ~/.cache/qnudge. Throws Error(kind usage) if neither variable is set.
std::filesystem::path default_image_cache();

}  // namespace qnudge
