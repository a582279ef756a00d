// SPDX-License-Identifier: MIT
// Calibration images that show nothing are named before the search.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/disk_problem.hpp"

namespace qnudge {
namespace {

using test::Said;
using testing::HasSubstr;
using testing::Not;

class CalibrationNotes : public testing::Test {
 protected:
  /// Replaces the pixels of all training images by what `pixel(image, i)` gives; the files' headers stay.
  template <class Pixel>
  void paint(const Pixel& pixel) const {
    constexpr std::size_t kHeader = 16, kPixels = 36;
    std::string bytes = test::contents(disk_ / "train-images");
    for (std::size_t i = kHeader; i < bytes.size(); ++i) {
      bytes[i] = static_cast<char>(pixel((i - kHeader) / kPixels, (i - kHeader) % kPixels));
    }
    std::ofstream(disk_ / "train-images", std::ios::binary) << bytes;
  }
  Said tune(const std::string& mean) const {
    return test::run({"tune", disk_.config(), "--out", disk_.path("run" + mean), "--set", "data.mean=[" + mean + "]"});
  }
  static void expect_named_before_the_search(const Said& said, const std::string& what) {
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.out, HasSubstr(what)) << "in the table";
    const std::size_t note = said.err.find(what), search = said.err.find("layer 1/");
    EXPECT_LT(note, search) << said.err;
    EXPECT_NE(note, std::string::npos) << said.err;
  }

  test::DiskProblem disk_;
};

TEST_F(CalibrationNotes, BlackImages) {
  paint([](std::size_t, std::size_t) { return 0; });
  expect_named_before_the_search(tune("0"),
                                 "50 of the 50 calibration images have one value per channel, 50 of them 0 (black)");
  expect_named_before_the_search(tune("0.5"), "50 of the 50 calibration images have one value per channel; ");
}

TEST_F(CalibrationNotes, SomeConstantImages) {
  const std::string before = test::contents(disk_ / "train-images");
  paint([&](std::size_t image, std::size_t i) {
    return image % 2 == 0 ? 200 : static_cast<int>(static_cast<unsigned char>(before[16 + image * 36 + i]));
  });
  const Said said = tune("0.5");
  expect_named_before_the_search(said, " of the 50 calibration images have one value per channel; ");
  EXPECT_THAT(said.out, Not(HasSubstr("50 of the 50")));
}

TEST_F(CalibrationNotes, EqualImages) {
  paint([](std::size_t, std::size_t i) { return 7 * i; });
  expect_named_before_the_search(tune("0.5"), "all 50 calibration images are the same");
}

TEST_F(CalibrationNotes, NothingAboutGoodImages) {
  const Said said = tune("0.5");
  EXPECT_EQ(said.code, 0) << said.err;
  for (const char* word : {"one value per channel", "are the same", "gives its bias alone"}) {
    EXPECT_THAT(said.out, Not(HasSubstr(word)));
  }
}

}  // namespace
}  // namespace qnudge
