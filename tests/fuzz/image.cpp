// SPDX-License-Identifier: MIT
#include "fuzzer.hpp"
#include "host/data/raster.hpp"

using namespace qnudge;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t kMostPixels = 4096;  // more of them would only take time
  fuzz::accepts([&] {
    const Raster image = decode_image(fuzz::Input(data, size), "image", kMostPixels);
    const bool whole = image.rgb.size() == static_cast<std::size_t>(image.width * image.height * 3);
    if (!whole || resize_and_crop(image, 8, 7, "image").size() != 7 * 7 * 3) std::abort();
  });
  return 0;
}
