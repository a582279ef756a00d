// SPDX-License-Identifier: MIT
#include <tiffio.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <memory>

#include "raster.hpp"

namespace qnudge {
namespace {

/// A file in memory as the library reads it, and its first complaint.
struct Source {
  std::span<const std::uint8_t> file;
  std::uint64_t at = 0;
  std::array<char, 200> message{};
};

Source& source(thandle_t handle) {
  return *static_cast<Source*>(handle);
}

tmsize_t read_bytes(thandle_t handle, void* to, tmsize_t count) {
  Source& from = source(handle);
  const std::uint64_t left = from.at < from.file.size() ? from.file.size() - from.at : 0;
  const std::uint64_t taken = std::min(left, static_cast<std::uint64_t>(std::max<tmsize_t>(count, 0)));
  std::copy_n(from.file.data() + from.at * (taken > 0 ? 1 : 0), taken, static_cast<std::uint8_t*>(to));
  from.at += taken;
  return static_cast<tmsize_t>(taken);
}

toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Source& from = source(handle);
  from.at = whence == SEEK_SET ? offset : (whence == SEEK_CUR ? from.at : from.file.size()) + offset;
  return from.at;
}

int note_error(TIFF*, void* about, const char*, const char* format, va_list arguments) {
  Source& from = *static_cast<Source*>(about);
  if (from.message[0] == '\0') std::vsnprintf(from.message.data(), from.message.size(), format, arguments);
  return 1;
}

int ignore_warning(TIFF*, void*, const char*, const char*, va_list) {
  return 1;
}

using Handle = std::unique_ptr<TIFF, decltype(&TIFFClose)>;

Handle open(Source& from, std::int64_t most) {
  constexpr std::int64_t kRoom = 1 << 20;  // for tables of codes
  const std::unique_ptr<TIFFOpenOptions, decltype(&TIFFOpenOptionsFree)> options(TIFFOpenOptionsAlloc(),
                                                                                 TIFFOpenOptionsFree);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), kRoom + most * 16);  // a pixel: 4 samples of 32 bits
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), note_error, &from);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), ignore_warning, nullptr);
  const auto write = [](thandle_t, void*, tmsize_t) -> tmsize_t { return 0; };
  const auto close = [](thandle_t) { return 0; };
  const auto size = [](thandle_t handle) -> toff_t { return source(handle).file.size(); };
  // "m": no mapping, every read goes through read_bytes.
  return {
      TIFFClientOpenExt("image", "rm", &from, read_bytes, write, seek, close, size, nullptr, nullptr, options.get()),
      TIFFClose};
}

/// Samples of a pixel that are neither colour nor grey.
bool has_alpha(TIFF* tiff) {
  std::uint16_t count = 0, *kinds = nullptr;
  return TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) == 1 && count > 0;
}

}  // namespace

Raster decode_tiff(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  Source from{.file = file};
  const auto check = [&](bool done) {
    require(done, ErrorKind::input, "{}: is no TIFF file that can be decoded: {}", path,
            from.message[0] == '\0' ? "it is cut short or corrupted" : from.message.data());
  };
  const Handle tiff = open(from, most);
  check(tiff != nullptr);
  std::uint32_t width = 0, height = 0;
  check(TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width) == 1 &&
        TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height) == 1);
  Raster raster = make_raster(width, height, path, most);
  // The library multiplies colours by alpha, which would be another picture than its colours.
  require(!has_alpha(tiff.get()), ErrorKind::input,
          "{}: is a TIFF file with an alpha channel; take it out, or save the image as PNG", path);
  std::array<char, 1024> reason{};
  require(TIFFRGBAImageOK(tiff.get(), reason.data()) == 1, ErrorKind::input, "{}: is a TIFF file of another kind: {}",
          path, reason.data());
  std::vector<std::uint32_t> pixels(static_cast<std::size_t>(raster.width * raster.height));
  check(TIFFReadRGBAImageOriented(tiff.get(), width, height, pixels.data(), ORIENTATION_TOPLEFT, 1) == 1 &&
        from.message[0] == '\0');
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    raster.rgb[3 * i] = static_cast<std::uint8_t>(TIFFGetR(pixels[i]));
    raster.rgb[3 * i + 1] = static_cast<std::uint8_t>(TIFFGetG(pixels[i]));
    raster.rgb[3 * i + 2] = static_cast<std::uint8_t>(TIFFGetB(pixels[i]));
  }
  return raster;
}

}  // namespace qnudge
