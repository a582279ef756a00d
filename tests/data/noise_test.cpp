// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>

#include <algorithm>

#include "qnudge/data/readers.hpp"

namespace qnudge {
namespace {

TEST(RandomImages, AreTheSameForASeedAndFillTheRange) {
  const auto data = random_images({5, 7, 3}, 11, 4, 9), same = random_images({5, 7, 3}, 11, 4, 9);
  EXPECT_EQ(data->shape(), (Shape{5, 7, 3}));
  EXPECT_EQ(data->size(), 11);
  EXPECT_THAT(data->labels(), testing::ElementsAre(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2));
  EXPECT_EQ(data->fingerprint(), same->fingerprint());
  EXPECT_NE(data->fingerprint(), random_images({5, 7, 3}, 11, 4, 10)->fingerprint());
  std::vector<float> first(105), last(105);
  data->read(0, first);
  data->read(10, last);
  EXPECT_NE(first, last);
  const auto [low, high] = std::minmax_element(first.begin(), first.end());
  EXPECT_TRUE(*low >= -2.0f && *low < -1.5f && *high <= 2.0f && *high > 1.5f) << *low << " to " << *high;
}

}  // namespace
}  // namespace qnudge
