// SPDX-License-Identifier: MIT
#include "qnudge/kernels/score.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace qnudge {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr double kUnits = 65536.0;

std::int32_t argmax_of(const std::vector<float>& logits) {
  return argmax(logits.data(), static_cast<std::int64_t>(logits.size()));
}

/// -ln softmax of every class, in nats.
std::vector<long double> exact_losses(const std::vector<float>& logits) {
  const long double largest = *std::max_element(logits.begin(), logits.end());
  long double sum = 0;
  for (const float z : logits) sum += std::exp(z - largest);
  std::vector<long double> losses;
  for (const float z : logits) losses.push_back(largest + std::log(sum) - z);
  return losses;
}

std::vector<float> random_logits(std::mt19937_64& random, std::size_t classes, float spread) {
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> logits(classes);
  for (float& z : logits) z = normal(random);
  return logits;
}

struct Kl {
  std::vector<std::int32_t> probability;
  std::int64_t negative_entropy;
};

Kl prepared(const std::vector<float>& reference) {
  std::vector<std::int32_t> q16, probability(reference.size());
  for (const float z : reference) q16.push_back(logit_to_q16(z));
  const auto classes = static_cast<std::int64_t>(reference.size());
  const std::int64_t negative_entropy = prepare_kl(q16.data(), classes, probability.data());
  return {probability, negative_entropy};
}

std::int64_t kl_of(const std::vector<float>& logits, const Kl& kl) {
  return kl_q16(logits.data(), static_cast<std::int64_t>(logits.size()), kl.probability.data(), kl.negative_entropy);
}

/// Every kind of distribution that the accuracy statements speak of.
template <class Check>
void for_many_logits(const Check& check) {
  std::mt19937_64 random(4);
  for (const std::size_t classes : {2u, 3u, 10u, 100u, 1000u}) {
    for (const float spread : {0.01f, 1.0f, 5.0f, 30.0f, 300.0f}) {
      for (int repeat = 0; repeat < 100; ++repeat) check(random, classes, spread);
    }
  }
}

TEST(Argmax, TiesGoToTheLowerClassAndNanNeverWins) {
  EXPECT_EQ(argmax_of({1, 3, 3, 2}), 1);
  EXPECT_EQ(argmax_of({0, -0.0f}), 0);
  EXPECT_EQ(argmax_of({-0.0f, 0}), 0);
  EXPECT_EQ(argmax_of({kNan, 1, 2}), 2);
  EXPECT_EQ(argmax_of({kNan, -kInf}), 1);
  EXPECT_EQ(argmax_of({kNan, kNan, -5, kNan, -5}), 2);
  EXPECT_EQ(argmax_of({1, kNan, 0}), 0);
  EXPECT_EQ(argmax_of({kNan, kNan}), 0);
  EXPECT_EQ(argmax_of({-kInf, -kInf}), 0);
  EXPECT_EQ(argmax_of({1, kInf, kInf}), 1);
  EXPECT_EQ(argmax_of({7}), 0);
}

TEST(CrossEntropy, IsWithinThreeUnitsOfTheExactLoss) {
  for_many_logits([](std::mt19937_64& random, std::size_t classes, float spread) {
    const std::vector<float> logits = random_logits(random, classes, spread);
    const std::vector<long double> exact = exact_losses(logits);
    const std::int64_t lse = log_sum_exp_q16(logits.data(), static_cast<std::int64_t>(classes));
    EXPECT_NEAR(static_cast<double>(lse), static_cast<double>(exact[0] + logits[0]) * kUnits, 2.0);
    for (std::size_t k = 0; k < classes; k += 1 + classes / 10) {
      const std::int64_t loss =
          cross_entropy_q16(logits.data(), static_cast<std::int64_t>(classes), static_cast<std::int32_t>(k));
      const double expected = std::min(static_cast<double>(exact[k]) * kUnits, static_cast<double>(kLossCap));
      ASSERT_NEAR(static_cast<double>(loss), expected, 3.0);
      ASSERT_GE(loss, 0);
    }
  });
}

TEST(CrossEntropy, IsCappedWhateverTheLogits) {
  const auto loss = [](const std::vector<float>& logits, std::int32_t label) {
    return cross_entropy_q16(logits.data(), static_cast<std::int64_t>(logits.size()), label);
  };
  EXPECT_EQ(loss({0, 300}, 0), kLossCap);
  EXPECT_EQ(loss({0, 300}, 1), 0);
  EXPECT_EQ(loss({-kInf, kInf}, 0), kLossCap);
  EXPECT_EQ(loss({kNan, 0}, 0), kLossCap);
  EXPECT_EQ(loss({kNan, 0}, 1), 0);
  EXPECT_NEAR(static_cast<double>(loss({kNan, kNan}, 0)), std::log(2.0) * kUnits, 3.0);
  EXPECT_NEAR(static_cast<double>(loss({kInf, kInf, kInf}, 2)), std::log(3.0) * kUnits, 3.0);
  EXPECT_EQ(loss({5}, 0), 0);
  EXPECT_LT(loss({0, 255.9f}, 0), kLossCap);
  EXPECT_EQ(loss({0, 256.1f}, 0), kLossCap);
}

TEST(PrepareKl, GivesProbabilitiesAndEntropy) {
  for_many_logits([](std::mt19937_64& random, std::size_t classes, float spread) {
    const std::vector<float> reference = random_logits(random, classes, spread);
    const std::vector<long double> losses = exact_losses(reference);
    const Kl kl = prepared(reference);
    long double entropy = 0;
    for (std::size_t k = 0; k < classes; ++k) {
      const long double p = std::exp(-losses[k]);
      entropy += p * losses[k];
      ASSERT_NEAR(static_cast<double>(kl.probability[k]) / 1073741824.0, static_cast<double>(p),
                  4e-5 * static_cast<double>(p) + 1e-8);
    }
    ASSERT_NEAR(static_cast<double>(-kl.negative_entropy), static_cast<double>(entropy) * kUnits, 20.0);
    ASSERT_LE(kl.negative_entropy, 0);
  });
}

TEST(Kl, IsWithinItsBoundOfTheExactDivergence) {
  for_many_logits([](std::mt19937_64& random, std::size_t classes, float spread) {
    const std::vector<float> reference = random_logits(random, classes, spread);
    std::vector<float> logits = random_logits(random, classes, spread);
    if (random() % 2 == 0) {
      for (std::size_t k = 0; k < classes; ++k) logits[k] = reference[k] + 0.03f * logits[k];
    }
    const std::vector<long double> p = exact_losses(reference), q = exact_losses(logits);
    long double exact = 0;
    for (std::size_t k = 0; k < classes; ++k) exact += std::exp(-p[k]) * (q[k] - p[k]);
    const double bound = 4 + 2 * static_cast<double>(*std::max_element(q.begin(), q.end()));
    const double expected = std::min(static_cast<double>(exact) * kUnits, static_cast<double>(kLossCap));
    const std::int64_t found = kl_of(logits, prepared(reference));
    ASSERT_NEAR(static_cast<double>(found), expected, bound);
    ASSERT_GE(found, 0);
    ASSERT_LE(kl_of(reference, prepared(reference)), 3) << "KL(p || p)";
  });
}

TEST(Kl, IsCappedWhateverTheLogits) {
  const std::vector<std::vector<float>> extremes = {{kInf, -kInf, 0}, {-kInf, kInf, 0},   {kNan, kNan, kNan},
                                                    {kNan, 0, kInf},  {3e38f, -3e38f, 1}, {0, 0, 0}};
  for (const auto& reference : extremes) {
    for (const auto& logits : extremes) {
      const std::int64_t kl = kl_of(logits, prepared(reference));
      EXPECT_TRUE(kl >= 0 && kl <= kLossCap);
    }
    EXPECT_LE(kl_of(reference, prepared(reference)), 3);
  }
  EXPECT_EQ(kl_of({-kInf, kInf, 0}, prepared({kInf, -kInf, 0})), kLossCap);
}

TEST(ScoreRule, HigherIsBetterForEveryKind) {
  const std::vector<float> good = {4, 1, 0}, poor = {1, 0.9f, 0}, wrong = {0, 1, 0};
  const Kl kl = prepared({5, 1, 0});
  for (const FitnessKind kind :
       {FitnessKind::top1, FitnessKind::cross_entropy, FitnessKind::kl, FitnessKind::top1_then_cross_entropy}) {
    const ScoreRule rule{kind, 3};
    const auto score = [&](const std::vector<float>& logits) {
      return rule(logits.data(), 0, kl.probability.data(), kl.negative_entropy);
    };
    EXPECT_GE(score(good), score(poor));
    EXPECT_GT(score(poor), score(wrong));
    EXPECT_EQ(score(good) > score(poor), kind != FitnessKind::top1);
  }
  const ScoreRule top1{FitnessKind::top1, 3}, loss{FitnessKind::cross_entropy, 3}, divergence{FitnessKind::kl, 3};
  EXPECT_EQ(top1(good.data(), 0, nullptr, 0), 1);
  EXPECT_EQ(top1(wrong.data(), 0, nullptr, 0), 0);
  EXPECT_EQ(loss(poor.data(), 2, nullptr, 0), -cross_entropy_q16(poor.data(), 3, 2));
  EXPECT_EQ(divergence(poor.data(), 2, kl.probability.data(), kl.negative_entropy), -kl_of(poor, kl));
}

/// One more correct image beats any loss of the others, up to the largest set.
TEST(ScoreRule, LexicographicScoreCannotBeOverturned) {
  const ScoreRule rule{FitnessKind::top1_then_cross_entropy, 2};
  const std::vector<float> worst = {0, 1000}, best = {1000, 0};
  const std::int64_t wrong = rule(worst.data(), 0, nullptr, 0), right = rule(best.data(), 0, nullptr, 0);
  EXPECT_EQ(wrong, -kLossCap);
  EXPECT_EQ(right, kCorrectWeight);
  EXPECT_GT(kCorrectWeight, kLossCap * kMaxImages);
  EXPECT_LT(kCorrectWeight, std::numeric_limits<std::int64_t>::max() / kMaxImages) << "the sum fits";
}

}  // namespace
}  // namespace qnudge
