// SPDX-License-Identifier: MIT
#pragma once

#include <cstdio>
// The library's headers need <cstdio> before them.
#include <jpeglib.h>
#include <png.h>
#include <tiffio.h>
#include <webp/encode.h>

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

/// 3 channels: RGB; 4: RGBA; without loss.
inline Bytes webp(const Samples& s) {
  std::uint8_t* memory = nullptr;
  const auto width = static_cast<int>(s.width), height = static_cast<int>(s.height);
  const std::size_t size = s.channels == 4 ? WebPEncodeLosslessRGBA(s.bytes.data(), width, height, 4 * width, &memory)
                                           : WebPEncodeLosslessRGB(s.bytes.data(), width, height, 3 * width, &memory);
  Bytes file(memory, memory + size);
  WebPFree(memory);
  return file;
}

/// Little-endian numbers, one after the other.
inline void append(Bytes& file, std::initializer_list<std::pair<std::uint32_t, int>> numbers) {
  for (const auto& [value, bytes] : numbers) {
    for (int i = 0; i < bytes; ++i) file.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

/// 24 bits, rows from the bottom, each filled up to a multiple of 4 bytes.
inline Bytes bmp(const Samples& s) {
  const std::uint32_t stride = (s.width * 3 + 3) / 4 * 4;
  Bytes file = {'B', 'M'};
  append(file, {{54 + stride * s.height, 4}, {0, 4}, {54, 4}, {40, 4}, {s.width, 4}, {s.height, 4}, {1, 2}, {24, 2}});
  append(file, {{0, 4}, {stride * s.height, 4}, {2835, 4}, {2835, 4}, {0, 4}, {0, 4}});
  for (std::uint32_t y = s.height; y-- > 0;) {
    for (std::uint32_t x = 0; x < s.width; ++x) {
      const std::uint8_t* rgb = &s.bytes[(y * s.width + x) * 3];
      file.insert(file.end(), {rgb[2], rgb[1], rgb[0]});
    }
    file.resize(file.size() + stride - 3 * s.width);
  }
  return file;
}

/// By way of a file.
inline Bytes tiff(const Samples& s, std::uint16_t compression, const std::filesystem::path& file, bool alpha = false) {
  TIFF* const out = TIFFOpen(file.c_str(), "w");
  TIFFSetField(out, TIFFTAG_IMAGEWIDTH, s.width);
  TIFFSetField(out, TIFFTAG_IMAGELENGTH, s.height);
  TIFFSetField(out, TIFFTAG_SAMPLESPERPIXEL, static_cast<int>(s.channels));
  TIFFSetField(out, TIFFTAG_BITSPERSAMPLE, 8);
  TIFFSetField(out, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
  TIFFSetField(out, TIFFTAG_PHOTOMETRIC, s.channels == 1 ? PHOTOMETRIC_MINISBLACK : PHOTOMETRIC_RGB);
  TIFFSetField(out, TIFFTAG_COMPRESSION, static_cast<int>(compression));
  TIFFSetField(out, TIFFTAG_ROWSPERSTRIP, 4);
  const std::uint16_t kinds[] = {EXTRASAMPLE_UNASSALPHA};
  if (alpha) TIFFSetField(out, TIFFTAG_EXTRASAMPLES, 1, kinds);
  for (std::uint32_t y = 0; y < s.height; ++y) {
    TIFFWriteScanline(out, const_cast<std::uint8_t*>(s.bytes.data() + std::size_t{y} * s.width * s.channels), y, 0);
  }
  TIFFClose(out);
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace qnudge
