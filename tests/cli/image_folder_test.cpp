// SPDX-License-Identifier: MIT
// Commands on folders of images: pixels against Pillow's, exit codes, the float accuracy that is known.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "disk_problem.hpp"
#include "support/onnx_builder.hpp"

namespace qnudge {
namespace {
namespace fs = std::filesystem;
using test::run;
using test::Said;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Ten outputs that see the mean of each channel.
void save_small_model(std::int64_t side, const fs::path& path) {
  test::OnnxBuilder model({-1, 3, side, side});
  model.node("GlobalAveragePool", {"x"}, "pooled");
  model.node("Flatten", {"pooled"}, "flat");
  std::vector<float> weights;
  for (int i = 0; i < 30; ++i) weights.push_back(static_cast<float>(i % 7) - 3.0f);
  model.floats("w", {3, 10}, weights);
  model.floats("b", {10}, std::vector<float>(10, 0.5f));
  model.node("Gemm", {"flat", "w", "b"}, "y");
  model.output("y").save(path);
}

class ImageFolderCommand : public testing::Test {
 protected:
  ImageFolderCommand() {
    if (std::getenv("QNUDGE_PYTHON") == nullptr) return;
    const char* data = std::getenv("QNUDGE_DATA");
    const fs::path more = data == nullptr ? "" : fs::path(data) / "imagenet_val1300/images";
    made_ = python(fmt::format("make '{}' {}", (folder_ / "set").string(),
                               fs::exists(more) ? fmt::format("'{}'", more.string()) : ""));
  }

  static bool python(const std::string& arguments) {
    return std::system(fmt::format("'{}' '{}/tests/python/check_images.py' {}", std::getenv("QNUDGE_PYTHON"),
                                   QNUDGE_SOURCE_DIR, arguments)
                           .c_str()) == 0;
  }

  std::string config(std::int64_t resize, std::int64_t crop) const {
    const fs::path model = folder_ / fmt::format("{}.onnx", crop);
    save_small_model(crop, model);
    const std::string file = (folder_ / fmt::format("{}-{}.json", resize, crop)).string();
    std::ofstream(file) << fmt::format(
        R"({{"model": "{0}", "protocol": "paper", "data": {{"format": "image_folder", "classes": 10, "resize": {1},
"crop": {2}, "train_images": "{3}/images", "train_labels": "{3}/labels.txt", "test_images": "{3}/images",
"test_labels": "{3}/labels.txt", "cache": "{3}/cache", "mean": [0, 0, 0], "std": [1, 1, 1], "calibration": 10,
"fitness": 10, "gate": 10}}}})",
        model.string(), resize, crop, (folder_ / "set").string());
    return file;
  }

  test::TemporaryFolder folder_;
  bool made_ = false;
};

TEST_F(ImageFolderCommand, PixelsAreWithinOneOfPillows) {
  if (std::getenv("QNUDGE_PYTHON") == nullptr) GTEST_SKIP() << "QNUDGE_PYTHON names no interpreter with Pillow";
  ASSERT_TRUE(made_) << "does QNUDGE_PYTHON have Pillow?";
  for (const auto& [resize, crop] : {std::pair(0, 64), {256, 224}, {224, 224}, {73, 61}, {40, 33}}) {
    const std::string inputs = (folder_ / "inputs.npy").string();
    const Said said = run({"eval", config(resize, crop), "--float", "--save-inputs", inputs, "--quiet"});
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_THAT(said.err, IsEmpty()) << "quiet";
    EXPECT_TRUE(python(fmt::format("compare '{}' {} {} '{}'", (folder_ / "set").string(), resize, crop, inputs)));
  }
}

TEST_F(ImageFolderCommand, SaysWhatItDecodesAndWhatIsWrong) {
  const fs::path set = folder_ / "set";
  if (!made_) {
    fs::create_directories(set / "images");
    std::ofstream(set / "labels.txt") << "a.jpg 3\r\n";
  } else {
    const Said said = run({"eval", config(0, 64), "--float"});
    EXPECT_THAT(said.err, HasSubstr("decoding"));
    EXPECT_EQ(run({"eval", config(0, 64), "--float"}).err.find("decoding"), std::string::npos);
  }
  std::ofstream(set / "images" / "a.jpg") << "no image";
  std::ofstream(set / "labels.txt", std::ios::app) << "a.jpg 10\r\n";
  const Said label = run({"eval", config(0, 64), "--float", "--set", "data.classes=4"});
  EXPECT_EQ(label.code, 3);
  EXPECT_THAT(label.err, HasSubstr("labels.txt:"));
  for (const auto& entry : fs::directory_iterator(set / "images")) fs::remove(entry.path());
  std::ofstream labels(set / "labels.txt");
  for (int i = 0; i < 60; ++i) {
    const std::string name = i == 0 ? "a.jpg" : fmt::format("b{:02}.jpg", i);
    std::ofstream(set / "images" / name) << "no image";
    labels << name << ' ' << i % 4 << '\n';
  }
  labels.close();
  const Said image = run({"eval", config(0, 64), "--float"});
  EXPECT_EQ(image.code, 3);
  EXPECT_THAT(image.err, HasSubstr("a.jpg: is no image of a kind that is read"));
}

/// Published for these images; a difference would be a difference in decoding, preprocessing or arithmetic.
TEST(ImageNetSubset, FloatAccuracyIsTheKnownOne) {
  const char* data = std::getenv("QNUDGE_DATA");
  if (data == nullptr || !fs::exists(fs::path(data) / "imagenet_val1300")) {
    GTEST_SKIP() << "QNUDGE_DATA is not set or has no imagenet_val1300";
  }
  if (std::getenv("QNUDGE_LONG_TESTS") == nullptr) GTEST_SKIP() << "minutes; QNUDGE_LONG_TESTS=1 runs it";
  const test::TemporaryFolder folder;
  const Said said = run({"eval", QNUDGE_SOURCE_DIR "/configs/imagenet_resnet18_leaky.json", "--float", "--json",
                         "--set", "data.cache=" + (folder / "cache").string()});
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(nlohmann::json::parse(said.out)["results"]["float"]["test"]["correct"], 968);
}

}  // namespace
}  // namespace qnudge
