// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/error.hpp"

namespace qnudge {

/// A decoded image, 8 bits a sample, [height, width, R G B].
struct Raster {
  std::int64_t width = 0, height = 0;
  std::vector<std::uint8_t> rgb;
  std::string repair;  ///< what the decoder found damaged and passed over; empty: nothing
};

/// Most pixels that an image may have: a small file cannot ask for more memory than 3 bytes for each.
constexpr std::int64_t kMaxPixels = std::int64_t{1} << 27;

/// What can be decoded, for messages.
inline constexpr const char* kImageFormats = "JPEG, PNG, WebP, TIFF, BMP, PPM, PGM";

/// Decodes a file by its first bytes, whatever it is called; `path` names it in messages. Grey becomes R = G = B, a
/// palette its colours, alpha is dropped, 16-bit samples keep their high byte, and colour profiles, gamma and the
/// orientation tag are ignored, as Pillow's `convert("RGB")` does it. CMYK is taken as Adobe stores it, inverted:
/// R = C * K / 255. Throws Error(kind input): none of kImageFormats, cut short, corrupted, more than `most` pixels.
Raster decode_image(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most = kMaxPixels);

/// The same for what begins as such a file does.
Raster decode_jpeg(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most);
Raster decode_png(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most);
Raster decode_webp(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most);
Raster decode_tiff(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most);
Raster decode_bmp(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most);
Raster decode_pnm(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most);

/// Checks what a header says and makes room for it.
inline Raster make_raster(std::int64_t width, std::int64_t height, const std::string& path, std::int64_t most) {
  require(width > 0 && height > 0 && width <= most / height, ErrorKind::input,
          "{}: its header says {} x {} pixels; up to {} in all are supported", path, width, height, most);
  Raster raster{.width = width, .height = height, .rgb = {}, .repair = {}};
  raster.rgb.resize(static_cast<std::size_t>(width * height * 3));
  return raster;
}

/// The middle `crop` x `crop` pixels of `image` with its shorter side resized to `resize` (0: as it is), [crop, crop,
/// 3]: torchvision's Resize and CenterCrop on a PIL image. The longer side is rounded down; the filter is bilinear and
/// as wide as the reduction, horizontal first, rounded to bytes in between; a crop begins at half of what is left over,
/// rounded half to even. Throws Error(kind input) naming `path` where the crop is larger than the image.
std::vector<std::uint8_t> resize_and_crop(const Raster& image, std::int64_t resize, std::int64_t crop,
                                          const std::string& path);

}  // namespace qnudge
