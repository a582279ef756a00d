// SPDX-License-Identifier: MIT
#include <webp/decode.h>

#include "raster.hpp"

namespace qnudge {

Raster decode_webp(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  WebPBitstreamFeatures features{};
  require(WebPGetFeatures(file.data(), file.size(), &features) == VP8_STATUS_OK, ErrorKind::input,
          "{}: is no WebP file that can be decoded, or is cut short in its header", path);
  require(features.has_animation == 0, ErrorKind::input, "{}: is an animated WebP file; one picture is needed", path);
  Raster raster = make_raster(features.width, features.height, path, most);
  const int stride = features.width * 3;
  require(WebPDecodeRGBInto(file.data(), file.size(), raster.rgb.data(), raster.rgb.size(), stride) != nullptr,
          ErrorKind::input, "{}: is no WebP file that can be decoded: it is cut short or corrupted", path);
  return raster;
}

}  // namespace qnudge
