// SPDX-License-Identifier: MIT
#include "qnudge/cli/compare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using ::testing::HasSubstr;

/// An input of 1x2x3 codes and a float output of two values, two images.
class Compare : public testing::Test {
 protected:
  Compare() {
    network_.nodes.resize(2);
    network_.nodes[0] = {.name = "input", .shape = {1, 2, 3}};
    network_.nodes[1] = {.what = IntLayer{}, .name = "fc", .inputs = {0}, .shape = {1, 1, 2}};
    network_.output = 1;
    const float values[4] = {0.5f, -1.0f, 2.0f, 3.0f};
    tensors_ = {std::vector<std::uint8_t>(12, 7), std::vector<std::uint8_t>(sizeof values)};
    std::memcpy(tensors_[1].data(), values, sizeof values);
  }
  IntNetwork network_;
  Tensors tensors_;
};

TEST_F(Compare, EqualTensorsHaveNoDifference) {
  EXPECT_FALSE(first_difference(network_, tensors_, tensors_, 2));
}

TEST_F(Compare, NamesTheFirstCode) {
  Tensors other = tensors_;
  other[0][10] = 0xff;
  other[0][11] = 0;
  other[1][0] ^= 1;
  const auto found = first_difference(network_, tensors_, other, 2);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->node, 0);
  EXPECT_EQ(found->image, 1);
  EXPECT_EQ(found->index, 4);
  EXPECT_EQ(found->first, 7);
  EXPECT_EQ(found->second, -1);
  const std::string text = difference_text(network_.nodes[0], *found, "reference", "host");
  EXPECT_THAT(text, HasSubstr("node 'input' (input), image 1, index 4 (h 0, w 1, c 1): 7 is reference's value"));
  EXPECT_THAT(text, HasSubstr("-1 is host's"));
}

TEST_F(Compare, MeasuresHowFarHalvesAreApart) {
  network_.activations = Activations::half;
  const auto as_bytes = [](const std::vector<float>& values) {
    std::vector<std::uint8_t> bytes;
    for (const float v : values) {
      const std::uint16_t bits = to_half(v).bits;
      bytes.insert(bytes.end(), {static_cast<std::uint8_t>(bits & 255), static_cast<std::uint8_t>(bits >> 8)});
    }
    return bytes;
  };
  std::vector<float> values(12, -4.0f);
  tensors_[0] = as_bytes(values);
  EXPECT_EQ(largest_deviation(network_, tensors_, tensors_, 2).share, 0);
  Tensors other = tensors_;
  values[7] = -3.5f;
  other[0] = as_bytes(values);
  const Deviation found = largest_deviation(network_, tensors_, other, 2);
  EXPECT_EQ(found.node, 0);
  EXPECT_EQ(found.share, 0.125);
  const float nan = NAN;
  std::memcpy(other[1].data(), &nan, 4);
  const Deviation broken = largest_deviation(network_, tensors_, other, 2);
  EXPECT_EQ(broken.node, 1);
  EXPECT_FALSE(broken.share <= kHalfTolerance);
  other[0].pop_back();
  EXPECT_THROW(largest_deviation(network_, tensors_, other, 2), Error);
}

TEST_F(Compare, ReadsFloatsOfTheOutput) {
  Tensors other = tensors_;
  const float changed = 2.5f;
  std::memcpy(other[1].data() + 8, &changed, 4);
  const auto found = first_difference(network_, tensors_, other, 2);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->node, 1);
  EXPECT_EQ(found->image, 1);
  EXPECT_EQ(found->index, 0);
  EXPECT_EQ(found->first, 2.0);
  EXPECT_EQ(found->second, 2.5);
}

TEST_F(Compare, RefusesTensorsThatDoNotFit) {
  Tensors other = tensors_;
  other[0].pop_back();
  EXPECT_THROW(first_difference(network_, tensors_, other, 2), Error);
  EXPECT_THROW(first_difference(network_, tensors_, tensors_, 1), Error);
  other[0].clear();
  EXPECT_THROW(first_difference(network_, other, other, 2), Error);
}

}  // namespace
}  // namespace qnudge
