// SPDX-License-Identifier: MIT
#include "cuda/runtime/rival_choice.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

enum class Kind { good, different, does_not_run, fails_when_timed, kills_the_device };

struct Rival {
  Kind kind;
  float time;
};

class FakeTrial : public RivalTrial {
 public:
  explicit FakeTrial(std::vector<Rival> rivals) : rivals_(std::move(rivals)) {}
  bool equal(std::size_t i) override {
    dead_ = dead_ || rivals_[i].kind == Kind::kills_the_device;
    require(!dead_ && rivals_[i].kind != Kind::does_not_run, ErrorKind::device, "cuDNN refuses to run a convolution");
    return rivals_[i].kind != Kind::different;
  }
  float milliseconds(std::size_t i, int launches) override {
    require(rivals_[i].kind != Kind::fails_when_timed, ErrorKind::device, "cuDNN refuses to run a convolution");
    batches.push_back({i, launches});
    return rivals_[i].time;
  }
  void check_device() override { require(!dead_, ErrorKind::device, "the device stopped"); }
  std::vector<std::pair<std::size_t, int>> batches;  ///< rival and launches of each

 private:
  const std::vector<Rival> rivals_;
  bool dead_ = false;
};

std::optional<std::size_t> fastest(const std::vector<Rival>& rivals) {
  FakeTrial trial(rivals);
  std::vector<std::size_t> all(rivals.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const std::vector<std::string> names(rivals.size(), "a rival");
  return fastest_rival("a task", names, all, trial);
}

TEST(RivalChoice, TakesTheFastestAndTheFirstOfEquals) {
  EXPECT_EQ(fastest({{Kind::good, 3}, {Kind::good, 1}, {Kind::good, 1}, {Kind::good, 2}}), 1u);
  EXPECT_EQ(fastest({{Kind::good, 0}}), 0u);
  EXPECT_EQ(fastest({}), std::nullopt);
}

/// Times of successive batches.
class Batches : public RivalTrial {
 public:
  explicit Batches(std::vector<float> times) : times_(std::move(times)) {}
  bool equal(std::size_t) override { return true; }
  float milliseconds(std::size_t, int) override { return times_.at(taken++); }
  void check_device() override {}
  std::size_t taken = 0;

 private:
  const std::vector<float> times_;
};

TEST(RivalChoice, TakesTheMedianOfBatches) {
  Batches disturbed({9, 2, 3, 100, 1});
  EXPECT_EQ(median_milliseconds(0, disturbed, std::nullopt), 3);
  EXPECT_EQ(disturbed.taken, 5u);
  Batches slow({2.5f, 1, 1, 1, 1});
  EXPECT_EQ(median_milliseconds(0, slow, 1.0f), 2.5f) << "more than twice the best one's time";
  EXPECT_EQ(slow.taken, 1u);
  Batches even({2, 1, 1, 1, 1});
  EXPECT_EQ(median_milliseconds(0, even, 1.0f), 1);
  FakeTrial trial({{Kind::good, 1}, {Kind::good, 3}});
  const std::vector<std::string> names(2, "a rival");
  const std::vector<std::size_t> both = {0, 1};
  EXPECT_EQ(fastest_rival("a task", names, both, trial), 0u);
  ASSERT_EQ(trial.batches.size(), 6u) << "five of the first, one of the slow one";
  for (const auto& [rival, launches] : trial.batches) EXPECT_GE(launches, 10);
}

TEST(RivalChoice, PassesOverThoseThatDifferOrCannotBeRun) {
  EXPECT_EQ(fastest({{Kind::different, 1}, {Kind::does_not_run, 1}, {Kind::fails_when_timed, 1}, {Kind::good, 9}}), 3u);
  EXPECT_EQ(fastest({{Kind::good, 9}, {Kind::does_not_run, 1}}), 0u);
  EXPECT_EQ(fastest({{Kind::does_not_run, 1}, {Kind::different, 1}}), std::nullopt);
}

TEST(RivalChoice, EndsWhereTheDeviceItselfHasFailed) {
  try {
    fastest({{Kind::good, 2}, {Kind::kills_the_device, 1}, {Kind::good, 3}});
    FAIL() << "went on with a dead device";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "the device stopped");
  }
}

TEST(RivalChoice, LeavesOutExtravagantWorkspaces) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  EXPECT_THAT(affordable_rivals({}), IsEmpty());
  const auto of = [](std::vector<std::size_t> bytes) { return affordable_rivals(bytes); };
  EXPECT_THAT(of({0, 3000 * kMiB, 16 * kMiB}), ElementsAre(0, 2));
  // What all need, such as copies of their operands as halves, is nobody's extravagance.
  EXPECT_THAT(of({5000 * kMiB, 5001 * kMiB, 5257 * kMiB}), ElementsAre(0, 1));
  EXPECT_THAT(of({5000 * kMiB}), ElementsAre(0));
}

}  // namespace
}  // namespace qnudge::cuda
