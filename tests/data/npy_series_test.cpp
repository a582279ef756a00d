// SPDX-License-Identifier: MIT
#include <cstring>
#include <limits>
#include <random>

#include "data/support.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

template <class T>
Bytes npy(const std::string& type, const std::string& shape, const std::vector<T>& values, int version = 1,
          const std::string& order = "False") {
  std::string header = fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", type, order, shape);
  header.resize((header.size() + 12 + 1 + 63) / 64 * 64 - 13, ' ');
  header += '\n';
  Bytes file = {0x93, 'N', 'U', 'M', 'P', 'Y', static_cast<std::uint8_t>(version), 0};
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file.push_back(static_cast<std::uint8_t>(header.size() >> (8 * i)));
  file.insert(file.end(), header.begin(), header.end());
  const auto* data = reinterpret_cast<const std::uint8_t*>(values.data());
  file.insert(file.end(), data, data + values.size() * sizeof(T));
  return file;
}

class NpySeries : public FolderTest {
 protected:
  NpySeries() { write("a_label.npy", npy<std::uint8_t>("|u1", "(3,)", {0, 1, 0})); }
  Series read(const Bytes& file, bool labelled = true) const { return read_npy_series(write("a.npy", file), labelled); }
  std::string refusal(const Bytes& file) const {
    const std::string message = input_refusal([&] { read(file); });
    EXPECT_THAT(message, testing::AnyOf(StartsWith((folder_ / "a").string()), testing::IsEmpty()));
    return message;
  }
  const std::vector<float> values_ = {1, 2, 3, 4, 5.5f, -6};
};

TEST_F(NpySeries, HeadersMayBePaddedAtLengthButSayLittle) {
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
  const auto with = [&](const std::string& text) {
    Bytes file = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0};
    for (const int shift : {0, 8}) file.push_back(static_cast<std::uint8_t>(text.size() >> shift));
    file.insert(file.end(), text.begin(), text.end());
    const auto* data = reinterpret_cast<const std::uint8_t*>(values_.data());
    file.insert(file.end(), data, data + values_.size() * sizeof(float));
    return file;
  };
  EXPECT_EQ(read(with(header + std::string(65000, ' ') + '\n')).values.size(), 6u);
  EXPECT_THAT(refusal(with("{'descr': '" + std::string(65000, 'f') + "'}\n")), HasSubstr("does not describe an array"));
  EXPECT_THAT(refusal(with(std::string(65000, ' '))), HasSubstr("does not describe an array"));
}

TEST_F(NpySeries, ReadsFloatsAndLabelsOfEveryType) {
  for (const int version : {1, 2, 3}) {
    const Series s = read(npy("<f4", "(3, 2)", values_, version));
    EXPECT_THAT(s.values, ElementsAre(1, 2, 3, 4, 5.5, -6));
    EXPECT_THAT(s.anomalous, ElementsAre(0, 1, 0));
    EXPECT_THAT(s.names, ElementsAre("0", "1"));
    EXPECT_TRUE(s.gaps.empty());
  }
  EXPECT_THAT(read(npy<double>("<f8", "(3, 1)", {0.1, 1e300, -3})).values, ElementsAre(0.1, 1e300, -3));
  EXPECT_THAT(read(npy("<f4", "(3, 2)", values_), false).anomalous, ElementsAre(0, 0, 0));
  const auto labels = [&](const Bytes& file) {
    write("a_label.npy", file);
    return read(npy("<f4", "(3, 2)", values_)).anomalous;
  };
  EXPECT_THAT(labels(npy<std::uint8_t>("|b1", "(3,)", {1, 0, 0})), ElementsAre(1, 0, 0));
  EXPECT_THAT(labels(npy<std::int8_t>("|i1", "(3,)", {1, 0, 1})), ElementsAre(1, 0, 1));
  EXPECT_THAT(labels(npy<std::int32_t>("<i4", "(3,)", {0, 0, 1})), ElementsAre(0, 0, 1));
  EXPECT_THAT(labels(npy<std::int64_t>("<i8", "(3,)", {0, 1, 1})), ElementsAre(0, 1, 1));
  EXPECT_THAT(labels(npy<float>("<f4", "(3,)", {0, 1, 1})), ElementsAre(0, 1, 1));
}

TEST_F(NpySeries, RefusesWrongTypesOrdersAndShapes) {
  EXPECT_THAT(refusal(npy<std::int32_t>("<i4", "(3, 2)", {1, 2, 3, 4, 5, 6})),
              HasSubstr("'<i4'; a series needs float32"));
  EXPECT_THAT(refusal(npy(">f4", "(3, 2)", values_)), HasSubstr("type '>f4'"));
  EXPECT_THAT(refusal(npy("<c8", "(3, 1)", values_)), HasSubstr("'<c8'"));
  EXPECT_THAT(refusal(npy("|O", "(3, 2)", values_)), HasSubstr("'|O'"));
  EXPECT_THAT(refusal(npy("<f4", "(3, 2)", values_, 1, "True")), HasSubstr("Fortran order"));
  EXPECT_THAT(refusal(npy("<f4", "(6,)", values_)), HasSubstr("shape (6)"));
  EXPECT_THAT(refusal(npy("<f4", "(3, 2, 1)", values_)), HasSubstr("shape (3, 2, 1)"));
  EXPECT_THAT(refusal(npy("<f4", "()", std::vector<float>{1})), HasSubstr("needs (rows, sensors)"));
  EXPECT_THAT(refusal(npy<float>("<f4", "(0, 2)", {})), HasSubstr("shape (0, 2)"));
  EXPECT_THAT(refusal(npy("<f4", "(2, 2)", values_)),
              HasSubstr("holds 24 bytes of values; shape (2, 2) of '<f4' needs 16"));
  EXPECT_THAT(refusal(npy("<f4", "(4, 2)", values_)), HasSubstr("needs 32"));
  EXPECT_THAT(refusal(npy("<f4", "(4294967296, 4294967296)", values_)), HasSubstr("more than"));
  EXPECT_THAT(refusal(npy("<f4", "(99999999999999999999, 2)", values_)), HasSubstr("out of range"));
  EXPECT_THAT(refusal(npy("<f4", "(-3, 2)", values_)), HasSubstr("header"));
  EXPECT_THAT(refusal(npy("<f4", "(3, 2), 'x': (1,)", values_)), HasSubstr("header"));
  EXPECT_THAT(refusal({}), HasSubstr("not a NumPy array"));
  EXPECT_THAT(refusal({'t', 'i', 'm', 'e', ',', 'A', '\n', '1', ',', '2', '\n', '3', ','}), HasSubstr("not a NumPy"));
}

TEST_F(NpySeries, RefusesValuesAndLabelsThatMakeNoSense) {
  std::vector<float> bad = values_;
  bad[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THAT(refusal(npy("<f4", "(3, 2)", bad)), HasSubstr("row 1, column 1 is nan"));
  bad[3] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refusal(npy("<f4", "(3, 2)", bad)), HasSubstr("is inf"));
  const auto labels = [&](const Bytes& file) {
    write("a_label.npy", file);
    return refusal(npy("<f4", "(3, 2)", values_));
  };
  EXPECT_THAT(labels(npy<std::uint8_t>("|u1", "(4,)", {0, 1, 0, 1})), HasSubstr("needs (3)"));
  EXPECT_THAT(labels(npy<std::uint8_t>("|u1", "(3, 1)", {0, 1, 0})), HasSubstr("shape (3, 1)"));
  EXPECT_THAT(labels(npy<std::uint8_t>("|u1", "(3,)", {0, 1, 2})), HasSubstr("label 2 is 2"));
  EXPECT_THAT(labels(npy<float>("<f4", "(3,)", {0, std::nanf(""), 0})), HasSubstr("label 1 is nan"));
  EXPECT_THAT(labels(npy<std::int16_t>("<i2", "(3,)", {0, 1, 0})), HasSubstr("labels of type '<i2'"));
  std::filesystem::remove(folder_ / "a_label.npy");
  EXPECT_THAT(refusal(npy("<f4", "(3, 2)", values_)), HasSubstr("a_label.npy: cannot be read"));
}

TEST_F(NpySeries, DamageNeverCrashesIt) {
  const Bytes good = npy("<f4", "(3, 2)", values_);
  std::mt19937 random(2);
  for (int i = 0; i < 600; ++i) {
    Bytes file(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i % 4 ? good.size() : random() % good.size()));
    for (int k = 0; k < 2 && !file.empty(); ++k)
      file[random() % std::min<std::size_t>(file.size(), 80)] = static_cast<std::uint8_t>(random());
    try {
      const Series s = read(file);
      ASSERT_EQ(s.values.size(), s.names.size() * s.anomalous.size());
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::input) << error.what();
    }
  }
}

}  // namespace
}  // namespace qnudge
