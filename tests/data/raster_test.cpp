// SPDX-License-Identifier: MIT
#include "../../host/data/raster.hpp"

#include <algorithm>
#include <cmath>

#include "data/image_files.hpp"

namespace qnudge {
namespace {
using testing::AnyOf;
using testing::HasSubstr;

Bytes decoded(const Bytes& file) {
  return decode_image(file, "x.jpg").rgb;
}

/// Channel `c` of every pixel.
Bytes plane(const Bytes& samples, std::size_t channels, std::size_t c) {
  Bytes values;
  for (std::size_t i = c; i < samples.size(); i += channels) values.push_back(samples[i]);
  return values;
}

TEST(Png, GivesRgbOfEveryKind) {
  for (const std::uint32_t channels : {1u, 2u, 3u, 4u}) {
    const Samples s = picture(13, 7, channels);
    const Bytes rgb = decoded(png(s));
    ASSERT_EQ(rgb.size(), 13u * 7 * 3);
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(plane(rgb, 3, c), plane(s.bytes, channels, channels < 3 ? 0 : c)) << channels << " channels";
    }
  }
}

TEST(Jpeg, GivesRgbOfGreyAndColour) {
  const Samples grey = picture(33, 18, 1);
  const Bytes rgb = decoded(jpeg(grey, 100));
  EXPECT_EQ(plane(rgb, 3, 0), plane(rgb, 3, 1));
  EXPECT_EQ(plane(rgb, 3, 0), plane(rgb, 3, 2));
  for (std::size_t i = 0; i < grey.bytes.size(); ++i) ASSERT_NEAR(rgb[3 * i], grey.bytes[i], 3);
  EXPECT_EQ(decoded(jpeg(picture(33, 18))).size(), 33u * 18 * 3);
}

TEST(Jpeg, TakesCmykAsInverted) {
  Samples s{16, 16, 4, {}};
  for (int i = 0; i < 256; ++i) s.bytes.insert(s.bytes.end(), {200, 100, 0, 128});
  const Bytes rgb = decoded(jpeg(s, 100));
  const double expected[] = {200 * 128 / 255.0, 100 * 128 / 255.0, 0};
  for (std::size_t i = 0; i < rgb.size(); ++i) ASSERT_NEAR(rgb[i], expected[i % 3], 2);
}

std::string refused(const Bytes& file) {
  return input_refusal([&] { decode_image(file, "x.jpg"); });
}

TEST(Decoding, RefusesWhatIsNoImage) {
  EXPECT_THAT(refused({}), HasSubstr("x.jpg: is empty"));
  const std::string text = "label 3\n";
  EXPECT_THAT(
      refused({text.begin(), text.end()}),
      HasSubstr("is no image of a kind that is read (JPEG, PNG, WebP, TIFF, BMP, PPM, PGM); it begins with 0x6c"));
  EXPECT_THAT(refused({'G'}), HasSubstr("is no image of a kind that is read"));
  EXPECT_NE(refused({0xff, 0xd8, 0xff}), "");
  EXPECT_NE(refused({0x89, 'P', 'N', 'G'}), "");
}

TEST(Decoding, RefusesEveryCut) {
  for (const Bytes& file :
       {jpeg(picture(24, 16)), jpeg(picture(24, 16, 1)), png(picture(24, 16)), png(picture(9, 9, 4))}) {
    EXPECT_EQ(refused(file), "");
    for (std::size_t cut = 0; cut < file.size(); ++cut) {
      ASSERT_NE(refused({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(cut)}), "")
          << cut << " of " << file.size();
    }
    EXPECT_THAT(refused({file.begin(), file.end() - 20}), HasSubstr("cut short"));
  }
}

TEST(Decoding, SurvivesEveryFlippedBit) {
  for (const Bytes& file : {jpeg(picture(16, 8)), png(picture(8, 8))}) {
    for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
      Bytes damaged = file;
      damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ (1 << bit % 8));
      try {
        const Raster image = decode_image(damaged, "x");
        ASSERT_EQ(std::cmp_equal(image.rgb.size(), image.width * image.height * 3), true);
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::input) << error.what();
      }
    }
  }
}

TEST(Decoding, ReportsWhatItPassesOver) {
  Bytes file = jpeg(picture(16, 8));
  EXPECT_EQ(decode_image(file, "x").repair, "");
  file.insert(file.end() - 2, 40, 0);  // extraneous bytes before the end marker
  EXPECT_THAT(decode_image(file, "x").repair, HasSubstr("extraneous bytes"));
}

TEST(Decoding, RefusesHugeExtentsWithoutAllocating) {
  Bytes wide = jpeg(picture(16, 8));
  constexpr std::uint8_t kFrame[] = {0xff, 0xc0};
  const auto marker = std::search(wide.begin(), wide.end(), std::begin(kFrame), std::end(kFrame));
  ASSERT_NE(marker, wide.end());
  std::fill(marker + 5, marker + 9, 0xff);  // height and width
  EXPECT_THAT(refused(wide), AnyOf(HasSubstr("65535 x 65535 pixels"), HasSubstr("no JPEG file")));
}

/// The definition, written from scratch in reals: a triangle as wide as the reduction, columns before rows, bytes in
/// between.
Bytes naive(const Samples& s, std::int64_t resize, std::int64_t crop) {
  const std::int64_t shorter = std::min(s.width, s.height), side = resize == 0 ? shorter : resize;
  const std::int64_t width = side * s.width / shorter, height = side * s.height / shorter;
  const auto line = [](std::int64_t in, std::int64_t out, std::int64_t at, const auto& sample) {
    const double scale = static_cast<double>(in) / static_cast<double>(out), reach = std::max(1.0, scale);
    double sum = 0, weights = 0;
    for (std::int64_t i = 0; i < in; ++i) {
      const double weight =
          std::max(0.0, 1 - std::abs((static_cast<double>(i) + 0.5) - (static_cast<double>(at) + 0.5) * scale) / reach);
      sum += weight * sample(i);
      weights += weight;
    }
    return std::floor(sum / weights + 0.5);
  };
  const auto first = [&](std::int64_t extent) {
    const std::int64_t left = extent - crop;
    return left % 2 == 0 ? left / 2 : (left / 2 % 2 == 0 ? left / 2 : left / 2 + 1);
  };
  Bytes out;
  for (std::int64_t y = first(height); y < first(height) + crop; ++y) {
    for (std::int64_t x = first(width); x < first(width) + crop; ++x) {
      for (std::int64_t c = 0; c < 3; ++c) {
        out.push_back(static_cast<std::uint8_t>(line(s.height, height, y, [&](std::int64_t row) {
          return line(s.width, width, x, [&](std::int64_t column) {
            return static_cast<double>(s.bytes[static_cast<std::size_t>((row * s.width + column) * 3 + c)]);
          });
        })));
      }
    }
  }
  return out;
}

TEST(Resizing, FollowsItsDefinition) {
  std::size_t off = 0, total = 0;
  for (const auto& [width, height] : {std::pair(20u, 14u), {13u, 29u}, {9u, 9u}, {31u, 8u}, {8u, 40u}, {11u, 8u}}) {
    const Samples s = picture(width, height);
    const Raster image{.width = width, .height = height, .rgb = s.bytes, .repair = {}};
    for (const auto& [resize, crop] : {std::pair(0, 8), {8, 8}, {9, 8}, {8, 5}, {16, 11}, {23, 23}, {3, 3}, {1, 1}}) {
      const Bytes expected = naive(s, resize, crop), found = resize_and_crop(image, resize, crop, "x");
      ASSERT_EQ(found.size(), expected.size());
      total += found.size();
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_NEAR(found[i], expected[i], 1)
            << width << "x" << height << " to " << resize << ", " << crop << ": " << i;
        off += found[i] != expected[i];
      }
    }
  }
  EXPECT_LT(off, total / 20) << "only where a value lies at one half";
}

TEST(Resizing, RefusesACropThatIsTooLarge) {
  const Raster image{.width = 20, .height = 10, .rgb = picture(20, 10).bytes, .repair = {}};
  const auto crop = [&](std::int64_t resize, std::int64_t side) {
    return input_refusal([&] { resize_and_crop(image, resize, side, "x.png"); });
  };
  EXPECT_EQ(crop(0, 10), "");
  EXPECT_THAT(crop(0, 11), HasSubstr("x.png: has 20 x 10 pixels, too few for data.crop = 11"));
  EXPECT_THAT(crop(5, 6), HasSubstr("resized 10 x 5"));
}

}  // namespace
}  // namespace qnudge
