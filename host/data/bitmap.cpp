// SPDX-License-Identifier: MIT
// Uncompressed images: BMP and binary PNM.
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_THREAD_LOCALS
#include <stb/stb_image.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>

#include "raster.hpp"

namespace qnudge {
namespace {

std::uint32_t little_endian(std::span<const std::uint8_t> file, std::size_t at, std::size_t bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value |= static_cast<std::uint32_t>(file[at + i]) << (8 * i);
  return value;
}

/// The library takes what is missing at the end for zeros; this is where the pixels must end.
std::uint64_t bitmap_end(std::span<const std::uint8_t> file, std::uint64_t width, std::uint64_t height) {
  const bool old = little_endian(file, 14, 4) == 12;
  const std::uint64_t bits = little_endian(file, old ? 24 : 28, 2);
  return little_endian(file, 10, 4) + (width * bits + 31) / 32 * 4 * height;
}

/// Reads the header of a PNM file.
class PnmHeader {
 public:
  explicit PnmHeader(std::span<const std::uint8_t> file) : file_(file) {}

  /// A number behind white space and comments; -1 where there is none.
  std::int64_t number() {
    while (at_ < file_.size() && (is_space() || file_[at_] == '#')) {
      if (file_[at_] != '#') {
        ++at_;
      } else {
        while (at_ < file_.size() && file_[at_] != '\n') ++at_;
      }
    }
    std::int64_t value = -1;
    for (; at_ < file_.size() && file_[at_] >= '0' && file_[at_] <= '9'; ++at_) {
      value = std::min<std::int64_t>(std::max<std::int64_t>(value, 0) * 10 + (file_[at_] - '0'), 1 << 30);
    }
    return value;
  }
  /// What is behind the one white space that ends a header.
  std::span<const std::uint8_t> pixels() const {
    return at_ < file_.size() && is_space() ? file_.subspan(at_ + 1) : std::span<const std::uint8_t>();
  }

 private:
  bool is_space() const { return file_[at_] == ' ' || (file_[at_] >= '\t' && file_[at_] <= '\r'); }

  std::span<const std::uint8_t> file_;
  std::size_t at_ = 2;
};

}  // namespace

Raster decode_bmp(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  int width = 0, height = 0, channels = 0;
  const int size = static_cast<int>(std::min<std::size_t>(file.size(), std::numeric_limits<int>::max()));
  const bool known = file.size() > 32 && stbi_info_from_memory(file.data(), size, &width, &height, &channels) == 1;
  require(known, ErrorKind::input, "{}: is no BMP file that can be decoded, or is a compressed one", path);
  Raster raster = make_raster(width, height, path, most);
  const std::uint64_t end = bitmap_end(file, static_cast<std::uint64_t>(width), static_cast<std::uint64_t>(height));
  require(end <= file.size(), ErrorKind::input, "{}: is cut short: its {} x {} pixels end at byte {}, the file at {}",
          path, width, height, end, file.size());
  const std::unique_ptr<stbi_uc, decltype(&std::free)> pixels(
      stbi_load_from_memory(file.data(), size, &width, &height, &channels, 3), &std::free);
  require(pixels != nullptr, ErrorKind::input, "{}: is no BMP file that can be decoded: {}", path,
          stbi_failure_reason());
  std::copy_n(pixels.get(), raster.rgb.size(), raster.rgb.begin());
  return raster;
}

Raster decode_pnm(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  PnmHeader header(file);
  const std::int64_t width = header.number(), height = header.number(), largest = header.number();
  Raster raster = make_raster(width, height, path, most);
  require(largest == 255, ErrorKind::input,
          "{}: its samples reach up to {}; PPM and PGM files of 8 bits (255) are read", path, largest);
  const std::size_t channels = file[1] == '6' ? 3 : 1, needed = raster.rgb.size() / 3 * channels;
  const std::span<const std::uint8_t> pixels = header.pixels();
  require(pixels.size() >= needed, ErrorKind::input, "{}: is cut short: {} x {} pixels need {} bytes, found {}", path,
          width, height, needed, pixels.size());
  for (std::size_t i = 0; i < raster.rgb.size(); ++i) raster.rgb[i] = pixels[channels == 3 ? i : i / 3];
  return raster;
}

}  // namespace qnudge
