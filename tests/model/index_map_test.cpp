// SPDX-License-Identifier: MIT
#include "qnudge/model/index_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace qnudge::test {
namespace {

using ::testing::ElementsAre;

using Places = std::vector<std::int64_t>;

/// A tensor of one sample that lists, in row-major order, where each element came from: the oracle of all edits.
struct Naive {
  Places dims, places;

  static Naive row_major(Places dims) {
    Naive tensor{std::move(dims), {}};
    tensor.places.resize(static_cast<std::size_t>(
        std::accumulate(tensor.dims.begin(), tensor.dims.end(), std::int64_t{1}, std::multiplies<>())));
    std::iota(tensor.places.begin(), tensor.places.end(), std::int64_t{0});
    return tensor;
  }

  std::int64_t at(const Places& index) const {
    std::int64_t linear = 0;
    for (std::size_t i = 0; i < dims.size(); ++i) linear = linear * dims[i] + index[i];
    return places[static_cast<std::size_t>(linear)];
  }

  /// The tensor of extents `to` whose element at an index is this one's at pick(index).
  template <class Pick>
  Naive picked(Places to, Pick pick) const {
    Naive result = row_major(std::move(to));
    for (std::int64_t& place : result.places) {
      Places index(result.dims.size());
      std::int64_t rest = place;
      for (std::size_t i = index.size(); i-- > 0;) {
        index[i] = rest % result.dims[i];
        rest /= result.dims[i];
      }
      place = at(pick(index));
    }
    return result;
  }
};

Extents without_samples(const Places& dims) {
  Extents extents;
  for (const std::int64_t extent : dims) extents.push_back({extent});
  return extents;
}

/// Extents of another rank with the same product.
Places other_dims(std::int64_t count, std::mt19937_64& random) {
  Places dims;
  while (dims.size() < 4) {
    std::vector<std::int64_t> divisors;
    for (std::int64_t d = 1; d <= count; ++d) {
      if (count % d == 0) divisors.push_back(d);
    }
    dims.push_back(divisors[random() % divisors.size()]);
    count /= dims.back();
  }
  dims.push_back(count);
  return dims;
}

TEST(IndexMap, RandomEditsEqualTheOracle) {
  std::mt19937_64 random(3);
  int reshaped = 0, sliced = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    const Places dims{static_cast<std::int64_t>(1 + random() % 4), static_cast<std::int64_t>(1 + random() % 6),
                      static_cast<std::int64_t>(1 + random() % 4), static_cast<std::int64_t>(1 + random() % 4)};
    Naive naive = Naive::row_major(dims);
    IndexMap map = IndexMap::row_major(without_samples(dims));
    for (int step = 0; step < 5; ++step) {
      const std::size_t rank = naive.dims.size();
      const std::size_t axis = random() % rank;
      switch (random() % 4) {
        case 0: {
          std::vector<std::size_t> order(rank);
          std::iota(order.begin(), order.end(), std::size_t{0});
          std::shuffle(order.begin(), order.end(), random);
          Places to(rank);
          for (std::size_t i = 0; i < rank; ++i) to[i] = naive.dims[order[i]];
          naive = naive.picked(to, [&](const Places& index) {
            Places from(rank);
            for (std::size_t i = 0; i < rank; ++i) from[order[i]] = index[i];
            return from;
          });
          map = map.transpose(order);
          break;
        }
        case 1: {
          const Places to = other_dims(map.size(), random);
          const auto result = map.reshape(without_samples(to));
          if (!result) continue;
          ++reshaped;
          map = *result;
          naive.dims = to;
          break;
        }
        case 2: {
          const std::int64_t extent = naive.dims[axis];
          const auto start = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(extent));
          const std::int64_t step_size = random() % 3 == 0 ? -1 : static_cast<std::int64_t>(1 + random() % 2);
          const std::int64_t room = step_size < 0 ? start + 1 : (extent - start + step_size - 1) / step_size;
          const auto count = static_cast<std::int64_t>(1 + random() % static_cast<std::uint64_t>(room));
          const auto result = map.slice(axis, start, step_size, count);
          if (!result) continue;
          ++sliced;
          map = *result;
          Places to = naive.dims;
          to[axis] = count;
          naive = naive.picked(to, [&](Places index) {
            index[axis] = start + index[axis] * step_size;
            return index;
          });
          break;
        }
        default: {
          if (naive.dims[axis] != 1) continue;
          map = map.repeat(axis, {3});
          Places to = naive.dims;
          to[axis] = 3;
          naive = naive.picked(to, [&](Places index) {
            index[axis] = 0;
            return index;
          });
        }
      }
      ASSERT_EQ(map.dims(), without_samples(naive.dims)) << "trial " << trial;
      ASSERT_EQ(map.places(), naive.places) << "trial " << trial;
    }
  }
  EXPECT_GT(reshaped, 500);
  EXPECT_GT(sliced, 1500);
}

TEST(IndexMap, ReshapesOfRowMajorStorageAlwaysFit) {
  std::mt19937_64 random(4);
  for (int trial = 0; trial < 500; ++trial) {
    const Places dims = other_dims(720, random), to = other_dims(720, random);
    const auto map = IndexMap::row_major(without_samples(dims)).reshape(without_samples(to));
    ASSERT_TRUE(map.has_value());
    EXPECT_TRUE(map->identity());
  }
}

TEST(IndexMap, SamplesMayStandAnywhere) {
  const IndexMap map = IndexMap::row_major({{1, true}, {6}, {4}});
  const auto heads = map.reshape({{1, true}, {6}, {2}, {2}});
  ASSERT_TRUE(heads.has_value());
  const IndexMap turned = heads->transpose({1, 0, 2, 3});
  const auto merged = turned.reshape({{6}, {2, true}, {2}});  // [L, N * heads, d]
  ASSERT_TRUE(merged.has_value());
  EXPECT_EQ(merged->dims(), (Extents{{6}, {2, true}, {2}}));
  const auto back = merged->reshape({{6}, {1, true}, {4}});
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->transpose({1, 0, 2}), map);
  EXPECT_FALSE(merged->reshape({{1, true}, {24}}).has_value());  // the samples do not stand first
  EXPECT_EQ(format_extents(merged->dims()), "[6, 2N, 2]");
  EXPECT_EQ(format_extents(merged->dims(), 3), "[6, 6, 2]");
}

TEST(IndexMap, FixedSamplesAreFoundByTheirPlace) {
  const IndexMap map = IndexMap::row_major({{1, true}, {6}, {4}});
  EXPECT_EQ(map.reshape({{1}, {24}}, 1)->dims(), (Extents{{1, true}, {24}}));
  EXPECT_EQ(map.reshape({{24}}, 1)->dims(), (Extents{{24, true}}));
  EXPECT_EQ(map.transpose({1, 0, 2}).reshape({{6}, {1}, {2}, {2}}, 1)->dims(), (Extents{{6}, {1, true}, {2}, {2}}));
  EXPECT_EQ(map.transpose({1, 2, 0}).reshape({{24}}, 1)->dims(), (Extents{{24, true}}));
  EXPECT_EQ(map.reshape({{8}, {15}}, 5), std::nullopt);
  EXPECT_EQ(map.reshape({{30}, {4}}, 5)->dims(), (Extents{{6, true}, {4}}));
  EXPECT_EQ(map.remove_axis(0).dims(), (Extents{{6, true}, {4}}));
}

TEST(IndexMap, PairsShareFactors) {
  const IndexMap rows = IndexMap::row_major({{1, true}, {4}, {6}});
  const IndexMap cut = IndexMap::row_major({{2}, {3}, {4}}).transpose({2, 0, 1});  // 4 outermost, then 2 x 3
  const auto merged = cut.insert_axis(0).repeat(0, {1, true}).reshape({{1, true}, {4}, {6}});
  ASSERT_TRUE(merged.has_value());
  const auto pairs = IndexMap::pairs(rows, *merged);
  ASSERT_TRUE(pairs.has_value());
  ASSERT_EQ(pairs->size(), 2u);
  EXPECT_EQ((*pairs)[0].extent, 4);
  EXPECT_EQ((*pairs)[0].second, 1);
  EXPECT_EQ((*pairs)[1].second, 4);
}

}  // namespace
}  // namespace qnudge::test
