// SPDX-License-Identifier: MIT
// A float model that only guesses, and inputs of a Concat that its scale leaves nothing of, are said.
#include "qnudge/search/chance.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../../host/search/shared_scales.hpp"
#include "quant/graphs.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using test::TemporaryFolder;
using test::ToyProblem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(AtChance, NeedsMoreThanGuessing) {
  EXPECT_TRUE(at_chance(0, 200, 10));
  EXPECT_TRUE(at_chance(20, 200, 10));
  EXPECT_TRUE(at_chance(26, 200, 10)) << "20 + 1.645 * sqrt(18) = 26.98";
  EXPECT_FALSE(at_chance(27, 200, 10));
  EXPECT_FALSE(at_chance(0, 0, 10));
  EXPECT_FALSE(at_chance(5, 5, 1));
}

/// The same images with labels one too high.
class ShiftedLabels : public Dataset {
 public:
  explicit ShiftedLabels(std::shared_ptr<const Dataset> data) : data_(std::move(data)) {
    for (const std::int32_t label : data_->labels()) {
      labels_.push_back(static_cast<std::int32_t>((label + 1) % data_->classes()));
    }
  }
  Shape shape() const override { return data_->shape(); }
  std::int64_t size() const override { return data_->size(); }
  std::int64_t classes() const override { return data_->classes(); }
  std::span<const std::int32_t> labels() const override { return labels_; }
  void read(std::int64_t index, std::span<float> out) const override { data_->read(index, out); }
  const std::string& fingerprint() const override { return data_->fingerprint(); }
  std::string description() const override { return "shifted"; }

 private:
  std::shared_ptr<const Dataset> data_;
  std::vector<std::int32_t> labels_;
};

TEST(Tune, NothingIsRecoveredOfAModelThatGuesses) {
  const TemporaryFolder folder;
  ToyProblem toy;
  toy.config.stop = {.rule = "recovered", .tolerance = 1.0};
  const TuneResult right = toy.tune(folder / "right");
  EXPECT_FALSE(right.float_at_chance);
  EXPECT_EQ(right.stop_reason, "recovered");
  EXPECT_THAT(right.notes, Not(Contains(HasSubstr("guessing"))));

  toy.train = std::make_shared<ShiftedLabels>(toy.train);
  toy.test = std::make_shared<ShiftedLabels>(toy.test);
  const TuneResult shifted = toy.tune(folder / "shifted");
  EXPECT_TRUE(shifted.float_at_chance);
  EXPECT_EQ(shifted.stop_reason, "done") << "0 of 60 is within any tolerance of 0 of 60";
  EXPECT_THAT(shifted.notes, Contains(AllOf(HasSubstr("0 of 80 test images"), HasSubstr("in 5 classes"))));
}

/// A Concat of a convolution and one of `ratio` times its weights.
std::vector<std::string> lost_at(float ratio) {
  test::GraphOf builder({1, 1, 2});
  const int large = builder.conv(0, 2, {1, 0, 0, 1});
  const int small = builder.conv(0, 2, {ratio, 0, 0, ratio});
  builder.conv(builder.concat({large, small}), 3, std::vector<float>(12, 0.5f));
  const Graph& graph = builder.graph();
  IntNetwork network = lower(graph, BatchNormMode::separate);
  const FloatPass pass = [&](std::int64_t count, const SampleReader& samples, const FloatObservation& observe) {
    return FloatExecutor(graph, 1).run(count, samples, observe);
  };
  const SampleReader samples = [](std::int64_t, std::int64_t, std::span<float> out) {
    std::fill(out.begin(), out.end(), 0.9f);
  };
  Ranges ranges;
  FloatObservation observe;
  observe.ranges = &ranges;
  pass(4, samples, observe);
  calibrate(network, ranges);
  return lost_in_concat(network, 4, samples, pass);
}

TEST(Concat, InputsThatItsScaleLeavesNothingOfAreNamed) {
  EXPECT_THAT(lost_at(0.1f), IsEmpty());
  EXPECT_THAT(lost_at(0), IsEmpty()) << "there is nothing to lose";
  EXPECT_THAT(lost_at(0.001f), testing::ElementsAre(AllOf(HasSubstr("reaches 0.0009 and all of it 0.9"),
                                                          HasSubstr("0.12 steps of 127"))));
}

}  // namespace
}  // namespace qnudge
