// SPDX-License-Identifier: MIT
// Rows that a team scores together against the rows of one thread.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "qnudge/kernels/scoring.hpp"
#include "support/thread_team.hpp"

namespace qnudge {
namespace {

struct Row {
  std::vector<float> logits;
  std::vector<std::int32_t> probability;
  std::vector<std::int16_t> original;
  std::int64_t negative_entropy = 0;
  std::int32_t label = 0;
};

/// Few distinct values, so that the largest stands in several places, and now and then what is no number.
Row random_row(std::mt19937_64& random) {
  constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();
  Row row;
  const std::size_t classes = 1 + random() % 70;
  const int values = 1 + static_cast<int>(random() % 30);
  const int odd = random() % 3 == 0 ? 3 : 40;
  for (std::size_t k = 0; k < classes; ++k) {
    const float special[] = {kNan, kNan, -kInf, kInf, -0.0f, 0.0f};
    const float value =
        (static_cast<float>(static_cast<int>(random() % static_cast<unsigned>(values)) - values / 2)) * 0.7f;
    row.logits.push_back(random() % static_cast<unsigned>(odd) == 0 ? special[random() % 6] : value);
    row.original.push_back(static_cast<std::int16_t>(random()));
  }
  std::vector<std::int32_t> reference;
  for (std::size_t k = 0; k < classes; ++k) reference.push_back(static_cast<std::int32_t>(random() % 500000));
  row.probability.resize(classes);
  row.negative_entropy = prepare_kl(reference.data(), static_cast<std::int64_t>(classes), row.probability.data());
  row.label = static_cast<std::int32_t>(random() % classes);
  return row;
}

/// The definition, class by class.
std::int32_t plain_argmax(const std::vector<float>& logits) {
  std::size_t best = 0;
  for (std::size_t k = 1; k < logits.size(); ++k) {
    if (std::isnan(logits[k])) continue;
    if (std::isnan(logits[best]) || logits[k] > logits[best]) best = k;
  }
  return static_cast<std::int32_t>(best);
}

std::vector<std::int64_t> scores(const Row& row, const auto& team) {
  const auto classes = static_cast<std::int64_t>(row.logits.size());
  std::vector<std::int64_t> all{argmax(row.logits.data(), classes, team)};
  for (const FitnessKind kind : {FitnessKind::top1, FitnessKind::cross_entropy, FitnessKind::kl,
                                 FitnessKind::top1_then_cross_entropy, FitnessKind::reconstruction}) {
    all.push_back(ScoreRule{kind, classes, 8.0f}(row.logits.data(), row.label, row.probability.data(),
                                                 row.negative_entropy, row.original.data(), team));
  }
  return all;
}

TEST(TeamScore, EveryMemberOfAnyTeamHasTheScoreOfOneThread) {
  std::mt19937_64 random(1);
  std::vector<Row> rows;
  std::vector<std::vector<std::int64_t>> expected;
  for (int i = 0; i < 150; ++i) {
    rows.push_back(random_row(random));
    expected.push_back(scores(rows.back(), SerialTeam{}));
    ASSERT_EQ(expected.back().front(), plain_argmax(rows.back().logits)) << "row " << i;
  }
  for (const int size : {2, 3, 32}) {
    std::vector<std::vector<std::vector<std::int64_t>>> found(static_cast<std::size_t>(size));
    test::by_threads<false>(size, 0, [&](const auto& team) {
      for (const Row& row : rows) found[static_cast<std::size_t>(team.rank())].push_back(scores(row, team));
    });
    for (const auto& member : found) ASSERT_EQ(member, expected) << "team of " << size;
  }
}

}  // namespace
}  // namespace qnudge
