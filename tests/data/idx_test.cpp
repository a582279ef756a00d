// SPDX-License-Identifier: MIT
#include <numeric>

#include "data/support.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/data/open.hpp"
#include "qnudge/data/readers.hpp"

namespace qnudge {
namespace {
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

constexpr std::uint32_t kImages = 0x803, kLabels = 0x801;

class Idx : public FolderTest {
 protected:
  Idx() : pixels_(3 * 2 * 4) { std::iota(pixels_.begin(), pixels_.end(), std::uint8_t{230}); }

  Bytes image_bytes() const { return idx({kImages, 3, 2, 4}, pixels_); }
  Bytes label_bytes() const { return idx({kLabels, 3}, {2, 0, 1}); }
  std::shared_ptr<const Dataset> open(const fs::path& images, const fs::path& labels, std::int64_t classes = 3) const {
    return open_idx(images, labels, classes, normalisation_);
  }
  std::string refused(const Bytes& images, const Bytes& labels, std::int64_t classes = 3) const {
    const fs::path i = write("i", images), l = write("l", labels);
    return input_refusal([&] { open(i, l, classes); });
  }

  Bytes pixels_;
  Normalisation normalisation_{{0.25f}, {0.3f}};
};

TEST_F(Idx, GivesLabelsAndNormalisedPixels) {
  const auto data = open(write("i", image_bytes()), write("l", label_bytes()));
  EXPECT_EQ(data->shape(), (Shape{2, 4, 1}));
  EXPECT_EQ(data->size(), 3);
  EXPECT_EQ(data->classes(), 3);
  EXPECT_THAT(data->labels(), ElementsAre(2, 0, 1));
  std::vector<float> out(8);
  for (std::size_t n = 0; n < 3; ++n) {
    data->read(static_cast<std::int64_t>(n), out);
    for (std::size_t i = 0; i < 8; ++i) {
      const float scaled = static_cast<float>(pixels_[n * 8 + i]) / 255.0f;
      EXPECT_EQ(out[i], (scaled - 0.25f) / 0.3f);
    }
  }
  EXPECT_THAT(data->description(), AllOf(HasSubstr("3 images of 2x4x1"), HasSubstr((folder_ / "i").string())));
}

TEST_F(Idx, ReadsPlainAndGzipAlike) {
  const auto plain = open(write("i", image_bytes()), write("l", label_bytes()));
  const auto zipped = open(write_gzip("i.gz", image_bytes()), write_gzip("l.gz", label_bytes()));
  EXPECT_EQ(plain->fingerprint(), zipped->fingerprint());
}

TEST_F(Idx, FingerprintFollowsContent) {
  const fs::path i = write("i", image_bytes()), l = write("l", label_bytes());
  const std::string base = open(i, l)->fingerprint();
  EXPECT_NE(open(i, l, 4)->fingerprint(), base);
  EXPECT_NE(open(i, write("l2", idx({kLabels, 3}, {2, 1, 0})))->fingerprint(), base);
  EXPECT_NE(open_idx(i, l, 3, {{0.26f}, {0.3f}})->fingerprint(), base);
  EXPECT_NE(open_idx(i, l, 3, {{0.25f}, {0.31f}})->fingerprint(), base);
  EXPECT_NE(open(write("i2", idx({kImages, 3, 4, 2}, pixels_)), l)->fingerprint(), base);
  ++pixels_[5];
  EXPECT_NE(open(write("i3", image_bytes()), l)->fingerprint(), base);
}

TEST_F(Idx, RefusesBadHeadersAndCounts) {
  EXPECT_THAT(refused(idx({0x804, 3, 2, 4}, pixels_), label_bytes()), HasSubstr("0x00000803"));
  EXPECT_THAT(refused(label_bytes(), image_bytes()), HasSubstr("0x00000803"));
  EXPECT_THAT(refused(image_bytes(), image_bytes()), HasSubstr("0x00000801"));
  EXPECT_THAT(refused(idx({kImages, 0, 2, 4}, {}), label_bytes()), HasSubstr("must be above 0"));
  EXPECT_THAT(refused(idx({kImages, 3, 0, 4}, {}), label_bytes()), HasSubstr("must be above 0"));
  EXPECT_THAT(refused(idx({kImages, 3, 2, 0}, {}), label_bytes()), HasSubstr("must be above 0"));
  EXPECT_THAT(refused(idx({kImages, 2, 2, 4}, pixels_), label_bytes()), HasSubstr("has 3 labels"));
  EXPECT_THAT(refused(image_bytes(), idx({kLabels, 2}, {0, 1})), HasSubstr("has 2 labels"));
  EXPECT_THAT(refused(image_bytes(), idx({kLabels, 3}, {0, 1, 3})),
              AllOf(HasSubstr("image 2 has label 3"), HasSubstr("0..2")));
  EXPECT_THAT(refused({}, label_bytes()), HasSubstr("is cut short in its header"));
  EXPECT_THAT(refused(image_bytes(), {}), HasSubstr("is cut short in its header"));
}

TEST_F(Idx, RefusesHugeExtentsWithoutAllocating) {
  constexpr std::uint32_t kHuge = 0xFFFFFFFF;
  EXPECT_THAT(refused(idx({kImages, kHuge, kHuge, kHuge}, pixels_), label_bytes()), HasSubstr("more than the"));
  EXPECT_THAT(refused(idx({kImages, 3, kHuge, 1}, pixels_), label_bytes()), HasSubstr("more than the"));
  EXPECT_THAT(refused(idx({kImages, kHuge, 28, 28}, pixels_), label_bytes()), HasSubstr("more than the"));
  const Bytes few = idx({kLabels, 0xFFFFFF}, {1, 2});
  EXPECT_THAT(refused(idx({kImages, 0xFFFFFF, 16, 16}, pixels_), few),
              HasSubstr("promises 16777215 bytes of data, found 2"));
}

TEST_F(Idx, RefusesEveryCutAndTrailingBytes) {
  const Bytes images = image_bytes(), labels = label_bytes();
  for (std::size_t cut = 0; cut < images.size(); ++cut) {
    EXPECT_THAT(refused({images.begin(), images.begin() + static_cast<std::ptrdiff_t>(cut)}, labels),
                HasSubstr("cut short"))
        << cut;
  }
  for (std::size_t cut = 0; cut < labels.size(); ++cut) {
    EXPECT_THAT(refused(images, {labels.begin(), labels.begin() + static_cast<std::ptrdiff_t>(cut)}),
                HasSubstr("cut short"))
        << cut;
  }
  Bytes longer = images;
  longer.push_back(0);
  EXPECT_THAT(refused(longer, labels), HasSubstr("more data than the 24 bytes"));
  longer = labels;
  longer.push_back(0);
  EXPECT_THAT(refused(images, longer), HasSubstr("more data than the 3 bytes"));
}

TEST_F(Idx, RefusesEveryCutOfAGzipFile) {
  const Bytes whole = read_file(write_gzip("i.gz", image_bytes()));
  const fs::path labels = write("l", label_bytes());
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    const fs::path file = write("cut.gz", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(cut)});
    EXPECT_THAT(input_refusal([&] { open(file, labels); }), HasSubstr("cut short")) << cut << " of " << whole.size();
  }
}

TEST_F(Idx, AFlippedBitInAGzipFileNeverChangesTheData) {
  const fs::path labels = write("l", label_bytes());
  const std::string base = open(write("i", image_bytes()), labels)->fingerprint();
  const Bytes whole = read_file(write_gzip("i.gz", image_bytes()));
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    Bytes flipped = whole;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1 << bit % 8));
    const fs::path file = write("flipped.gz", flipped);
    std::string fingerprint;
    const std::string message = input_refusal([&] { fingerprint = open(file, labels)->fingerprint(); });
    // The time stamp and the system's name in the header are not covered by any checksum, and decide nothing.
    EXPECT_TRUE(!message.empty() || fingerprint == base) << "bit " << bit;
  }
}

TEST_F(Idx, NeverInflatesABombBeyondItsHeader) {
  Bytes bomb = image_bytes();
  bomb.resize(64 << 20);
  EXPECT_THAT(input_refusal([&] { open(write_gzip("bomb.gz", bomb), write("l", label_bytes())); }),
              HasSubstr("more data than the 24 bytes"));
}

TEST_F(Idx, RefusesWhatIsNoFile) {
  const fs::path images = write("i", image_bytes()), labels = write("l", label_bytes());
  for (const fs::path& bad : {folder_, folder_ / "missing", fs::path("/dev/zero"), fs::path("")}) {
    EXPECT_NE(input_refusal([&] { open(bad, labels); }), "") << bad;
    EXPECT_NE(input_refusal([&] { open(images, bad); }), "") << bad;
  }
}

TEST_F(Idx, RefusesANormalisationThatDoesNotFit) {
  const fs::path i = write("i", image_bytes()), l = write("l", label_bytes());
  for (const Normalisation& bad :
       {Normalisation{{0.1f, 0.2f}, {1, 1}}, Normalisation{{}, {}}, Normalisation{{0.1f}, {}},
        Normalisation{{0.1f}, {0.0f}}, Normalisation{{0.1f}, {-1.0f}}, Normalisation{{std::nanf("")}, {1.0f}},
        Normalisation{{0.1f}, {std::nanf("")}}}) {
    EXPECT_NE(input_refusal([&] { open_idx(i, l, 3, bad); }), "");
  }
  EXPECT_NE(input_refusal([&] { open(i, l, 0); }), "");
}

TEST_F(Idx, RefusesReadsOutsideTheSet) {
  const auto data = open(write("i", image_bytes()), write("l", label_bytes()));
  std::vector<float> out(8), shorter(7);
  for (const std::int64_t index : {std::int64_t{-1}, std::int64_t{3}}) {
    EXPECT_NE(input_refusal([&] { data->read(index, out); }, ErrorKind::internal), "");
  }
  EXPECT_NE(input_refusal([&] { data->read(0, shorter); }, ErrorKind::internal), "");
}

TEST(FashionMnist, OpensAsTheQuickstartNamesIt) {
  const DataConfig config = read_config(QNUDGE_SOURCE_DIR "/configs/quickstart.json").data;
  if (!fs::exists(config.train_images[0])) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const auto train = open_dataset(config, true), test = open_dataset(config, false);
  EXPECT_EQ(train->size(), 60000);
  EXPECT_EQ(test->size(), 10000);
  EXPECT_EQ(test->shape(), (Shape{28, 28, 1}));
  const Splits splits = make_splits(*train, *test, {});
  EXPECT_EQ(splits.gate.size(), 1024u);
  EXPECT_EQ(splits.calibration, splits.fitness);
}

}  // namespace
}  // namespace qnudge
