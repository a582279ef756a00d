// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
// The library's headers need <cstdio> before them.
#include <jpeglib.h>

#include <jerror.h>

#include "raster.hpp"

namespace qnudge {
namespace {

/// The library reports through these callbacks and, on an error, must not get control back: it is left by longjmp, past
/// no object that has a destructor.
struct Decoder {
  jpeg_error_mgr errors;  // first: the library hands it back
  jpeg_decompress_struct info;
  std::jmp_buf leave;
  std::array<char, JMSG_LENGTH_MAX> message{};  // of the error, or of the first warning
  bool cut_short = false;

  Decoder() {
    info.err = jpeg_std_error(&errors);
    errors.error_exit = [](j_common_ptr about) {
      Decoder& self = *reinterpret_cast<Decoder*>(about->err);
      about->err->format_message(about, self.message.data());
      std::longjmp(self.leave, 1);
    };
    errors.emit_message = [](j_common_ptr about, int level) {
      if (level >= 0) return;  // a trace
      Decoder& self = *reinterpret_cast<Decoder*>(about->err);
      if (about->err->msg_code == JWRN_JPEG_EOF) self.cut_short = true;
      if (about->err->num_warnings++ == 0) about->err->format_message(about, self.message.data());
    };
    info.mem = nullptr;  // nothing to destroy yet
  }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

bool read_header(Decoder& decoder, std::span<const std::uint8_t> file) {
  if (setjmp(decoder.leave) != 0) return false;
  jpeg_create_decompress(&decoder.info);
  jpeg_mem_src(&decoder.info, file.data(), static_cast<unsigned long>(file.size()));
  jpeg_read_header(&decoder.info, TRUE);
  const J_COLOR_SPACE stored = decoder.info.jpeg_color_space;
  decoder.info.out_color_space = stored == JCS_CMYK || stored == JCS_YCCK ? JCS_CMYK : JCS_RGB;
  return true;
}

/// Rows of RGB or CMYK into `samples`, [height, width, output_components].
bool read_rows(Decoder& decoder, std::uint8_t* samples) {
  if (setjmp(decoder.leave) != 0) return false;
  jpeg_start_decompress(&decoder.info);
  const std::size_t stride = std::size_t{decoder.info.output_width} * decoder.info.output_components;
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = samples + decoder.info.output_scanline * stride;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

/// Four inverted samples a pixel to three.
void from_inverted_cmyk(std::span<const std::uint8_t> cmyk, std::span<std::uint8_t> rgb) {
  for (std::size_t i = 0; i < rgb.size() / 3; ++i) {
    const int key = cmyk[4 * i + 3];
    for (std::size_t c = 0; c < 3; ++c) {
      const int loss = (255 - cmyk[4 * i + c]) * key;
      rgb[3 * i + c] = static_cast<std::uint8_t>(key - (2 * loss + 255) / 510);
    }
  }
}

}  // namespace

Raster decode_jpeg(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  Decoder decoder;
  const auto check = [&](bool done) {
    require(!decoder.cut_short, ErrorKind::input, "{}: is cut short; it is no whole JPEG file", path);
    require(done, ErrorKind::input, "{}: is no JPEG file that can be decoded: {}", path, decoder.message.data());
  };
  check(read_header(decoder, file));
  Raster raster = make_raster(decoder.info.image_width, decoder.info.image_height, path, most);
  const bool cmyk = decoder.info.out_color_space == JCS_CMYK;
  std::vector<std::uint8_t> four(cmyk ? raster.rgb.size() / 3 * 4 : 0);
  check(read_rows(decoder, cmyk ? four.data() : raster.rgb.data()));
  if (cmyk) from_inverted_cmyk(four, raster.rgb);
  if (decoder.errors.num_warnings > 0) raster.repair = decoder.message.data();
  return raster;
}

}  // namespace qnudge
