// SPDX-License-Identifier: MIT
#include "qnudge/kernels/select.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

namespace qnudge {
namespace {

struct Ranking {
  std::vector<std::int64_t> parents, offspring;

  std::vector<std::int32_t> best() const {
    const auto mu = static_cast<std::int32_t>(parents.size());
    std::vector<std::int32_t> order(parents.size() + offspring.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), FitterRule{parents.data(), offspring.data(), mu});
    order.resize(parents.size());
    return order;
  }
};

TEST(Select, OrdersByFitnessThenParentsThenIndex) {
  EXPECT_EQ((Ranking{{5, 3}, {4, 5, 5, 9}}.best()), (std::vector<std::int32_t>{5, 0}));
  EXPECT_EQ((Ranking{{1, 1, 1}, {1, 1}}.best()), (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ((Ranking{{0, 0}, {7, 7, 7}}.best()), (std::vector<std::int32_t>{2, 3}));
}

/// Genomes as numbers: an offspring is a function of its parent's genome and its own index. Carrying the survivors out
/// must give what copying from a full offspring array would.
TEST(Select, SurvivorsNeverReadAnOverwrittenParent) {
  std::mt19937 random(7);
  for (int trial = 0; trial < 3000; ++trial) {
    const auto mu = static_cast<std::int32_t>(1 + random() % 9), lambda = static_cast<std::int32_t>(1 + random() % 20);
    Ranking ranking;
    for (int r = 0; r < mu; ++r) ranking.parents.push_back(random() % 4);
    std::sort(ranking.parents.rbegin(), ranking.parents.rend());
    for (int j = 0; j < lambda; ++j) ranking.offspring.push_back(random() % 5);
    const auto child = [](std::uint64_t genome, std::int32_t j) {
      return (genome ^ static_cast<std::uint64_t>(j + 1)) * 0x9e3779b97f4a7c15u;
    };
    std::vector<std::int32_t> slot(static_cast<std::size_t>(mu));
    std::iota(slot.begin(), slot.end(), 0);
    std::shuffle(slot.begin(), slot.end(), random);
    std::vector<std::uint64_t> genome(slot.size());
    for (auto& g : genome) g = random();
    const auto by_rank = [&](std::int32_t r) {
      return genome[static_cast<std::size_t>(slot[static_cast<std::size_t>(r)])];
    };

    const std::vector<std::int32_t> best = ranking.best();
    std::vector<std::uint64_t> expected;
    for (std::int32_t e : best) expected.push_back(e < mu ? by_rank(e) : child(by_rank((e - mu) % mu), e - mu));

    std::vector<Survivor> survivors(slot.size());
    std::vector<std::int32_t> scratch(4 * slot.size());
    const std::int32_t count = plan_survivors(best.data(), mu, slot.data(), survivors.data(), scratch.data());
    for (std::int32_t i = 0; i < count; ++i) {
      const Survivor& s = survivors[static_cast<std::size_t>(i)];
      genome[static_cast<std::size_t>(s.to)] = child(genome[static_cast<std::size_t>(s.from)], s.offspring);
    }
    for (std::int32_t r = 0; r < mu; ++r) {
      ASSERT_EQ(by_rank(r), expected[static_cast<std::size_t>(r)]) << "trial " << trial << ", rank " << r;
    }
    std::vector<std::int32_t> sorted = slot;
    std::sort(sorted.begin(), sorted.end());
    for (std::int32_t r = 0; r < mu; ++r)
      ASSERT_EQ(sorted[static_cast<std::size_t>(r)], r) << "slots must stay a permutation";
  }
}

}  // namespace
}  // namespace qnudge
