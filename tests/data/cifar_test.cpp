// SPDX-License-Identifier: MIT
#include <cstdlib>

#include "data/support.hpp"
#include "qnudge/data/open.hpp"
#include "qnudge/data/readers.hpp"

namespace qnudge {
namespace {
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

const Normalisation kNormalisation{{0.5f, 0.25f, 0.125f}, {0.5f, 0.3f, 0.7f}};

std::uint8_t pixel(std::size_t image, std::size_t channel, std::size_t at) {
  return static_cast<std::uint8_t>(image * 91 + channel * 37 + at * 7);
}

/// Records with the given label bytes each.
Bytes records(const std::vector<Bytes>& labels, std::size_t first_image = 0) {
  Bytes file;
  for (std::size_t n = 0; n < labels.size(); ++n) {
    file.insert(file.end(), labels[n].begin(), labels[n].end());
    for (std::size_t i = 0; i < 3072; ++i) file.push_back(pixel(first_image + n, i / 1024, i % 1024));
  }
  return file;
}

class Cifar : public FolderTest {};

TEST_F(Cifar, ReadsBothLayoutsAsHwc) {
  const auto ten = open_cifar({write("a", records({{3}, {9}})), write("b", records({{0}}, 2))}, 1, 10, kNormalisation);
  const auto hundred = open_cifar({write("c", records({{1, 3}, {19, 99}, {0, 0}}))}, 2, 100, kNormalisation);
  EXPECT_THAT(ten->labels(), ElementsAre(3, 9, 0));
  EXPECT_THAT(hundred->labels(), ElementsAre(3, 99, 0));
  std::vector<float> out(3072);
  for (const auto& data : {ten, hundred}) {
    EXPECT_EQ(data->shape(), (Shape{32, 32, 3}));
    for (std::size_t n = 0; n < 3; ++n) {
      data->read(static_cast<std::int64_t>(n), out);
      for (std::size_t at = 0; at < 1024; ++at) {
        for (std::size_t c = 0; c < 3; ++c) {
          const float scaled = static_cast<float>(pixel(n, c, at)) / 255.0f;
          ASSERT_EQ(out[at * 3 + c], (scaled - kNormalisation.mean[c]) / kNormalisation.std[c]);
        }
      }
    }
  }
  EXPECT_NE(ten->fingerprint(), hundred->fingerprint());
}

TEST_F(Cifar, RefusesBadFiles) {
  const auto refused = [&](const std::vector<fs::path>& files, int label_bytes = 1, std::int64_t classes = 10) {
    return input_refusal([&] { open_cifar(files, label_bytes, classes, kNormalisation); });
  };
  const fs::path good = write("good", records({{3}, {9}}));
  Bytes bytes = records({{3}, {9}});
  EXPECT_THAT(refused({write("label", records({{3}, {10}}))}), HasSubstr("image 1 has label 10"));
  EXPECT_THAT(refused({good}, 2), HasSubstr("no whole number of records of 3074 bytes"));
  EXPECT_THAT(refused({write("empty", {})}), HasSubstr("no whole number of records"));
  bytes.push_back(0);
  EXPECT_THAT(refused({write("longer", bytes)}), HasSubstr("no whole number of records"));
  bytes.resize(bytes.size() - 2);
  EXPECT_THAT(refused({good, write("shorter", bytes)}), HasSubstr("shorter: 6145 bytes"));
  EXPECT_THAT(refused({folder_ / "missing"}), HasSubstr("missing: cannot be read"));
  EXPECT_THAT(refused({folder_}), HasSubstr("is not a regular file"));
  EXPECT_THAT(refused({"/dev/zero"}), HasSubstr("is not a regular file"));
  EXPECT_NE(refused({}), "");
  const fs::path sparse = write("sparse", {});
  fs::resize_file(sparse, std::uintmax_t{3073} << 24);
  EXPECT_THAT(refused({sparse}), HasSubstr("more than the"));
  EXPECT_NE(input_refusal([&] { open_cifar({good}, 1, 10, {{0.5f}, {0.5f}}); }), "");
}

TEST_F(Cifar, OpensWhatTheConfigNames) {
  DataConfig config;
  config.format = "cifar100";
  config.train_images = {write("a", records({{1, 3}, {19, 99}})).string()};
  config.test_images = {write("b", records({{1, 4}})).string()};
  config.mean = {0.5, 0.25, 0.125};
  config.std = {0.5, 0.3, 0.7};
  EXPECT_THAT(open_dataset(config, true)->labels(), ElementsAre(3, 99));
  EXPECT_EQ(open_dataset(config, true)->classes(), 100);
  EXPECT_THAT(open_dataset(config, false)->labels(), ElementsAre(4));
  config.classes = 99;
  EXPECT_NE(input_refusal([&] { open_dataset(config, true); }), "");
  config.format = "idx";
  config.train_labels = config.train_images[0];
  EXPECT_THAT(input_refusal([&] { open_dataset(config, true); }), HasSubstr("0x00000803"));
  config.format = "folder";
  EXPECT_NE(input_refusal([&] { open_dataset(config, true); }), "");
}

TEST(CifarData, HasTheWellKnownCounts) {
  const char* folder = std::getenv("QNUDGE_DATA");
  if (folder == nullptr) GTEST_SKIP() << "QNUDGE_DATA is not set";
  const auto data = open_cifar({fs::path(folder) / "cifar100/test.bin"}, 2, 100, kNormalisation);
  EXPECT_EQ(data->size(), 10000);
  std::vector<int> counts(100);
  for (const std::int32_t label : data->labels()) ++counts[static_cast<std::size_t>(label)];
  EXPECT_THAT(counts, testing::Each(100));
}

}  // namespace
}  // namespace qnudge
