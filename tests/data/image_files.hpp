// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
// The library's headers need <cstdio> before them.
#include <jpeglib.h>
#include <png.h>

#include <cstdlib>
#include <filesystem>

#include "data/support.hpp"

namespace qnudge {

/// An image of samples, [height, width, channels].
struct Samples {
  std::uint32_t width = 0, height = 0, channels = 3;
  Bytes bytes;
};

/// Smooth with some noise, so that every pixel and every neighbour matters.
inline Samples picture(std::uint32_t width, std::uint32_t height, std::uint32_t channels = 3, std::uint32_t seed = 1) {
  Samples s{width, height, channels, {}};
  for (std::uint32_t y = 0; y < height; ++y) {
    for (std::uint32_t x = 0; x < width; ++x) {
      for (std::uint32_t c = 0; c < channels; ++c) {
        seed = seed * 1664525u + 1013904223u;
        s.bytes.push_back(static_cast<std::uint8_t>((x * 5 + y * 3 + c * 80 + (seed >> 27)) % 256));
      }
    }
  }
  return s;
}

/// 1 channel: grey; 2: grey and alpha; 3: RGB; 4: RGBA.
inline Bytes png(const Samples& s) {
  constexpr png_uint_32 kFormats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = s.width;
  image.height = s.height;
  image.format = kFormats[s.channels - 1];
  png_alloc_size_t size = 0;
  png_image_write_get_memory_size(image, size, 0, s.bytes.data(), 0, nullptr);
  Bytes file(size);
  EXPECT_NE(png_image_write_to_memory(&image, file.data(), &size, 0, s.bytes.data(), 0, nullptr), 0) << image.message;
  file.resize(size);
  return file;
}

/// 1 channel: grey; 3: RGB; 4: CMYK as it is.
inline Bytes jpeg(const Samples& s, int quality = 90) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = s.width;
  info.image_height = s.height;
  info.input_components = static_cast<int>(s.channels);
  info.in_color_space = s.channels == 1 ? JCS_GRAYSCALE : s.channels == 3 ? JCS_RGB : JCS_CMYK;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (std::uint32_t y = 0; y < s.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(s.bytes.data() + std::size_t{y} * s.width * s.channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  Bytes file(memory, memory + size);
  jpeg_destroy_compress(&info);
  std::free(memory);
  return file;
}

}  // namespace qnudge
