// SPDX-License-Identifier: MIT
#include "raster.hpp"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace qnudge {
namespace {

constexpr int kWeightBits = 22;  // 255 times a sum of weights of 1 stays within 32 bits

/// What one line of pixels is made of: input lines from `first` on, weights times 2^kWeightBits.
struct Blend {
  std::int64_t first = 0;
  std::vector<std::int32_t> weights;
};

/// The lines begin .. begin + count - 1 of `in` lines resized to `out`: a triangle around each line's place, as wide as
/// the reduction, cut at the border and scaled to a sum of 1.
std::vector<Blend> blends(std::int64_t in, std::int64_t out, std::int64_t begin, std::int64_t count) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), reach = std::max(scale, 1.0);
  std::vector<Blend> lines;
  for (std::int64_t line = begin; line < begin + count; ++line) {
    const double centre = (static_cast<double>(line) + 0.5) * scale;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto last = std::min(in, static_cast<std::int64_t>(centre + reach + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t i = first; i < last; ++i) {
      weights.push_back(std::max(0.0, 1.0 - std::abs(static_cast<double>(i) - centre + 0.5) / reach));
      sum += weights.back();
    }
    Blend blend{.first = first, .weights = {}};
    for (const double weight : weights) {
      blend.weights.push_back(static_cast<std::int32_t>(std::lround(std::ldexp(weight / sum, kWeightBits))));
    }
    lines.push_back(std::move(blend));
  }
  return lines;
}

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp((sum + (1 << (kWeightBits - 1))) >> kWeightBits, 0, 255));
}

/// Each of `count` rows of `in`, [*, width, 3], to a row of columns.size() pixels.
std::vector<std::uint8_t> blend_columns(const std::uint8_t* in, std::int64_t width, std::int64_t count,
                                        const std::vector<Blend>& columns) {
  std::vector<std::uint8_t> out;
  out.reserve(static_cast<std::size_t>(count) * columns.size() * 3);
  for (std::int64_t row = 0; row < count; ++row, in += width * 3) {
    for (const Blend& blend : columns) {
      std::int32_t r = 0, g = 0, b = 0;
      const std::uint8_t* pixel = in + blend.first * 3;
      for (const std::int32_t weight : blend.weights) {
        r += weight * pixel[0];
        g += weight * pixel[1];
        b += weight * pixel[2];
        pixel += 3;
      }
      out.insert(out.end(), {rounded(r), rounded(g), rounded(b)});
    }
  }
  return out;
}

/// `in` holds rows of `stride` bytes; row 0 is input line `origin` of `lines`.
std::vector<std::uint8_t> blend_rows(const std::vector<std::uint8_t>& in, std::size_t stride, std::int64_t origin,
                                     const std::vector<Blend>& lines) {
  std::vector<std::uint8_t> out;
  out.reserve(lines.size() * stride);
  std::vector<std::int32_t> sums(stride);
  for (const Blend& blend : lines) {
    std::fill(sums.begin(), sums.end(), 0);
    const std::uint8_t* row = in.data() + static_cast<std::size_t>(blend.first - origin) * stride;
    for (const std::int32_t weight : blend.weights) {
      for (std::size_t i = 0; i < stride; ++i) sums[i] += weight * row[i];
      row += stride;
    }
    for (const std::int32_t sum : sums) out.push_back(rounded(sum));
  }
  return out;
}

/// Half of what is left over, half to even.
std::int64_t crop_begin(std::int64_t extent, std::int64_t crop) {
  return static_cast<std::int64_t>(std::nearbyint(static_cast<double>(extent - crop) / 2.0));
}

}  // namespace

Raster decode_image(std::span<const std::uint8_t> file, const std::string& path, std::int64_t most) {
  using std::string_view_literals::operator""sv;
  struct Format {
    std::string_view magic;
    Raster (*decode)(std::span<const std::uint8_t>, const std::string&, std::int64_t);
    std::size_t at = 0;  ///< where the magic stands
  };
  constexpr Format kFormats[] = {
      {"\xff\xd8\xff"sv, decode_jpeg}, {"\x89PNG"sv, decode_png}, {"WEBP"sv, decode_webp, 8}, {"II*\0"sv, decode_tiff},
      {"MM\0*"sv, decode_tiff},        {"BM"sv, decode_bmp},      {"P5"sv, decode_pnm},       {"P6"sv, decode_pnm}};
  require(!file.empty(), ErrorKind::input, "{}: is empty; an image ({}) is needed", path, kImageFormats);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  for (const Format& format : kFormats) {
    if (text.size() > format.at && text.substr(format.at).starts_with(format.magic)) {
      return format.decode(file, path, most);
    }
  }
  fail(ErrorKind::input, "{}: is no image of a kind that is read ({}); it begins with {:#04x}", path, kImageFormats,
       fmt::join(file.first(std::min<std::size_t>(file.size(), 4)), " "));
}

std::vector<std::uint8_t> resize_and_crop(const Raster& image, std::int64_t resize, std::int64_t crop,
                                          const std::string& path) {
  const std::int64_t shorter = std::min(image.width, image.height);
  const std::int64_t side = resize == 0 ? shorter : resize;
  const std::int64_t width = side * image.width / shorter, height = side * image.height / shorter;
  require(crop <= side, ErrorKind::input,
          "{}: has {} x {} pixels{}, too few for data.crop = {}; give data.resize at least that value", path,
          image.width, image.height, resize == 0 ? "" : fmt::format(", resized {} x {}", width, height), crop);
  const std::int64_t left = crop_begin(width, crop), top = crop_begin(height, crop);
  // Where nothing is reduced a line is itself, with weight 1.
  const std::vector<Blend> columns = blends(image.width, width, left, crop);
  const std::vector<Blend> lines = blends(image.height, height, top, crop);
  const std::int64_t first = lines.front().first;
  const std::int64_t last = lines.back().first + static_cast<std::int64_t>(lines.back().weights.size());
  const std::uint8_t* const from = image.rgb.data() + first * image.width * 3;
  const std::vector<std::uint8_t> narrow = blend_columns(from, image.width, last - first, columns);
  return blend_rows(narrow, static_cast<std::size_t>(crop * 3), first, lines);
}

}  // namespace qnudge
