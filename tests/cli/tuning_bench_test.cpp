// SPDX-License-Identifier: MIT
// What one generation costs must not hold what a repeat costs once. Time is made up, so that the numbers are exact.
#include "qnudge/cli/tuning_bench.hpp"

#include <gtest/gtest.h>

namespace qnudge {
namespace {

constexpr double kOpen = 7, kStart = 5, kOnce = 1000, kMutate = 0.25, kEvaluate = 4, kSelect = 0.5;

/// A search whose operations only move a clock; it replays what it has recorded, or calls the body every time.
class MadeUpSearch : public LayerSearch {
 public:
  MadeUpSearch(double& clock, bool replays, std::int64_t& generations)
      : clock_(clock), replays_(replays), generations_(generations) {}

  void start() override { clock_ += kStart; }
  void restore(const PopulationState&) override {}
  std::int32_t chunks() const override { return 2; }
  void mutate(std::int32_t) override { spend(kMutate); }
  void evaluate(std::int32_t) override { spend(kEvaluate); }
  void select() override { spend(kSelect); }
  void repeat(std::int32_t limit, const StopFlag&, const std::function<void()>& body) override {
    const std::int32_t times = limit - generation_;
    if (replays_) {
      recorded_ = 0;
      body();
      clock_ += kOnce + times * recorded_;
    } else {
      for (std::int32_t i = 0; i < times; ++i) body();
    }
    generation_ = limit;
    generations_ += times;
  }
  PopulationState save() const override { return {.generation = generation_}; }
  std::vector<GenerationRecord> take_history() override { return {}; }
  const Mailbox& mailbox() const override { return mailbox_; }

 private:
  void spend(double seconds) { (replays_ ? recorded_ : clock_) += seconds; }

  double& clock_;
  const bool replays_;
  std::int64_t& generations_;
  double recorded_ = 0;
  std::int32_t generation_ = 0;
  Mailbox mailbox_;
};

struct Timed {
  LayerTiming timing;
  std::int64_t generations = 0;
};

Timed timed(bool replays, int generations) {
  double clock = 3;
  Timed result;
  result.timing = time_layer(
      [&] {
        clock += kOpen;
        return std::make_unique<MadeUpSearch>(clock, replays, result.generations);
      },
      generations, [&] { return clock; });
  return result;
}

TEST(TuningBench, AGenerationCostsTheSameWhetherItIsReplayedOrNot) {
  for (const bool replays : {false, true}) {
    for (const int generations : {1, 2, 3, 4, 5, 20, 100}) {
      const LayerTiming t = timed(replays, generations).timing;
      const std::string what = std::to_string(generations) + (replays ? " replayed" : " called");
      EXPECT_EQ(t.prepare_seconds, kOpen) << what;
      EXPECT_EQ(t.start_seconds, kStart) << what;
      EXPECT_DOUBLE_EQ(t.mutate_seconds, 2 * kMutate) << what;
      EXPECT_DOUBLE_EQ(t.evaluate_seconds, 2 * kEvaluate) << what;
      EXPECT_DOUBLE_EQ(t.select_seconds, kSelect) << what;
    }
  }
}

TEST(TuningBench, RunsAsManyGenerationsAsItSays) {
  EXPECT_EQ(timed(false, 10).generations, 10);
  EXPECT_EQ(timed(false, 1).generations, 2);
  EXPECT_EQ(timed(true, 10).generations, 2 + 3 * (2 + 10)) << "two to see that it replays, three parts at two lengths";
}

}  // namespace
}  // namespace qnudge
