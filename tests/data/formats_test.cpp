// SPDX-License-Identifier: MIT
// Images that are neither JPEG nor PNG: pixels, cuts, limits.
#include "../../host/data/raster.hpp"
#include "data/image_files.hpp"

namespace qnudge {
namespace {
using testing::HasSubstr;

std::string refused(const Bytes& file, std::int64_t most = kMaxPixels) {
  return input_refusal([&] { decode_image(file, "x", most); });
}

Bytes pnm(const Samples& s, const std::string& largest = "255") {
  const std::string header =
      fmt::format("P{}\n# made here\n{} {}\n{}\n", s.channels == 3 ? 6 : 5, s.width, s.height, largest);
  Bytes file(header.begin(), header.end());
  file.insert(file.end(), s.bytes.begin(), s.bytes.end());
  return file;
}

class Formats : public FolderTest {
 protected:
  Bytes tiff(const Samples& s, std::uint16_t compression, bool alpha = false) const {
    return qnudge::tiff(s, compression, folder_ / "made.tif", alpha);
  }
  std::vector<Bytes> all() const {
    const Samples s = picture(13, 9);
    return {webp(s),
            bmp(s),
            pnm(s),
            tiff(s, COMPRESSION_NONE),
            tiff(s, COMPRESSION_LZW),
            tiff(s, COMPRESSION_ADOBE_DEFLATE)};
  }
};

TEST_F(Formats, GiveThePixelsThatWereWritten) {
  for (const Bytes& file : all()) {
    const Raster raster = decode_image(file, "x");
    EXPECT_EQ(raster.width, 13);
    EXPECT_EQ(raster.height, 9);
    EXPECT_EQ(raster.rgb, picture(13, 9).bytes);
  }
}

TEST_F(Formats, GreyIsThreeTimesTheSame) {
  const Samples grey = picture(7, 5, 1);
  Bytes expected;
  for (const std::uint8_t value : grey.bytes) expected.insert(expected.end(), 3, value);
  EXPECT_EQ(decode_image(pnm(grey), "x").rgb, expected);
  EXPECT_EQ(decode_image(tiff(grey, COMPRESSION_PACKBITS), "x").rgb, expected);
}

TEST_F(Formats, AlphaIsDroppedOrRefused) {
  Samples clear = picture(6, 6, 4);
  for (std::size_t i = 3; i < clear.bytes.size(); i += 4) clear.bytes[i] = static_cast<std::uint8_t>(1 + i);
  const Bytes rgb = decode_image(webp(clear), "x").rgb;
  for (std::size_t i = 0; i < 36; ++i) {
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(rgb[3 * i + c], clear.bytes[4 * i + c]);
  }
  EXPECT_THAT(refused(tiff(clear, COMPRESSION_NONE, true)), HasSubstr("alpha channel"));
}

TEST_F(Formats, RefuseEveryCut) {
  for (const Bytes& file : all()) {
    for (std::size_t cut = 0; cut < file.size(); ++cut) {
      ASSERT_NE(refused({file.begin(), file.begin() + static_cast<std::ptrdiff_t>(cut)}), "")
          << cut << " of " << file.size() << ", which begins with " << file[0];
    }
  }
}

TEST_F(Formats, SurviveEveryFlippedBit) {
  for (Bytes file : all()) {
    for (std::size_t bit = 0; bit < 8 * file.size(); ++bit) {
      file[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
      refused(file, 4096);
      file[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    }
  }
}

TEST_F(Formats, AskForNoMorePixelsThanAreAllowed) {
  for (const Bytes& file : all()) {
    EXPECT_EQ(refused(file, 13 * 9), "");
    EXPECT_THAT(refused(file, 13 * 9 - 1), HasSubstr("its header says 13 x 9 pixels; up to 116"));
  }
}

TEST(Pnm, OtherRangesAreRefused) {
  EXPECT_THAT(refused(pnm(picture(4, 4), "15")), HasSubstr("its samples reach up to 15"));
  EXPECT_THAT(refused(pnm(picture(4, 4), "65535")), HasSubstr("its samples reach up to 65535"));
}

}  // namespace
}  // namespace qnudge
