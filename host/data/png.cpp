// SPDX-License-Identifier: MIT
#include <png.h>

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>

#include "raster.hpp"

namespace qnudge {
namespace {

/// The library reports through callbacks and is left by longjmp, past no object that has a destructor.
struct Decoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::uint8_t> rest;
  std::array<char, 200> message{};

  explicit Decoder(std::span<const std::uint8_t> file) : rest(file) {
    const auto on_error = [](png_structp about, png_const_charp text) {
      Decoder& self = *static_cast<Decoder*>(png_get_error_ptr(about));
      std::snprintf(self.message.data(), self.message.size(), "%s", text);
      png_longjmp(about, 1);
    };
    const auto on_warning = [](png_structp, png_const_charp) {};
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png != nullptr) info = png_create_info_struct(png);
    require(info != nullptr, ErrorKind::internal, "out of memory while decoding a PNG file");
    png_set_read_fn(png, this, [](png_structp from, png_bytep out, std::size_t count) {
      Decoder& self = *static_cast<Decoder*>(png_get_io_ptr(from));
      if (count > self.rest.size()) png_error(from, "it is cut short");
      std::copy_n(self.rest.begin(), count, out);
      self.rest = self.rest.subspan(count);
    });
  }
  ~Decoder() { png_destroy_read_struct(&png, &info, nullptr); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

/// Reads the header and asks for 8-bit RGB.
bool read_header(Decoder& decoder) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) return false;
  png_read_info(decoder.png, decoder.info);
  png_set_strip_16(decoder.png);
  png_set_expand(decoder.png);  // a palette to its colours, 1, 2 and 4 bits to 8, a transparent colour to alpha
  png_set_gray_to_rgb(decoder.png);
  png_set_strip_alpha(decoder.png);
  png_set_interlace_handling(decoder.png);
  png_read_update_info(decoder.png, decoder.info);
  return true;
}

bool read_rows(Decoder& decoder, png_bytep* rows) {
  if (setjmp(png_jmpbuf(decoder.png)) != 0) return false;
  png_read_image(decoder.png, rows);
  png_read_end(decoder.png, nullptr);
  return true;
}

}  // namespace

Raster decode_png(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  Decoder decoder(file);
  const auto check = [&](bool done) {
    require(done, ErrorKind::input, "{}: is no PNG file that can be decoded: {}", path, decoder.message.data());
  };
  check(read_header(decoder));
  Raster raster = make_raster(png_get_image_width(decoder.png, decoder.info),
                              png_get_image_height(decoder.png, decoder.info), path, most);
  const auto stride = static_cast<std::size_t>(raster.width) * 3;
  require(png_get_rowbytes(decoder.png, decoder.info) == stride, ErrorKind::internal, "{}: decodes to {} bytes a row",
          path, png_get_rowbytes(decoder.png, decoder.info));
  std::vector<png_bytep> rows;
  for (std::size_t y = 0; y < static_cast<std::size_t>(raster.height); ++y) rows.push_back(&raster.rgb[y * stride]);
  check(read_rows(decoder, rows.data()));
  return raster;
}

}  // namespace qnudge
