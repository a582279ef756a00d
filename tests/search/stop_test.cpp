// SPDX-License-Identifier: MIT
// A run that is asked to stop leaves at once, wherever it is, and what it left behind ends in the same bytes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "qnudge/core/error.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::TemporaryFolder;
using test::ToyProblem;
using testing::HasSubstr;

struct Recipe {
  const char* name;
  void (*configure)(Config&);
};

const Recipe kRecipes[] = {
    {"layer", [](Config& c) { c.search.start = "bias"; }},
    {"channel",
     [](Config& c) {
       c.search.strategy = "channel";
       c.search.start = "descent";
     }},
    {"gram",
     [](Config& c) {
       c.search.strategy = "gram";
       c.search.start = "descent";
       c.search.parents = 2;
     }},
    {"budget",
     [](Config& c) {
       c.search.start = "descent";
       c.stop.rule = "budget";
       c.stop.tolerance = 0.05;
     }},
    {"recovered",
     [](Config& c) {
       c.stop.rule = "recovered";
       c.stop.tolerance = -1;  // never, but looked at after every layer
     }},
};

/// Sets the flag at the n-th of the events that it is told of.
class Trigger : public test::SilentObserver {
 public:
  Trigger(StopFlag& stop, int at) : stop_(stop), left_(at) {}
  void stage(std::string_view name) override {
    stage_ = name;
    event();
  }
  void layer_started(int, int, const std::string&, std::int64_t, const Mailbox&) override { event(); }
  void layer_finished(int, int, const std::string&, std::int64_t, std::int64_t) override { event(); }

  std::string stopped_in;

 private:
  void event() {
    if (left_-- != 0) return;
    stopped_in = stage_;
    stop_ = true;
  }

  StopFlag& stop_;
  int left_;
  std::string stage_;
};

class StopAtEveryEvent : public testing::TestWithParam<Recipe> {};

TEST_P(StopAtEveryEvent, IsAnsweredThereAndEndsInTheSameBytes) {
  TemporaryFolder folder;
  ToyProblem toy;
  GetParam().configure(toy.config);
  toy.tune(folder / "expected");
  int events = 0;
  for (;; ++events) {
    const auto path = folder / std::to_string(events);
    toy.stop = false;
    Trigger trigger(toy.stop, events);
    std::string message;
    try {
      tune(toy.request(path), trigger);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::interrupted) << error.what();
      message = error.what();
    }
    if (trigger.stopped_in.empty()) break;  // no more events
    ASSERT_NE(message, "") << "event " << events << " in stage " << trigger.stopped_in;
    const bool saved = std::filesystem::exists(path / "checkpoint.bin");
    EXPECT_EQ(saved, trigger.stopped_in == "search" || trigger.stopped_in == "test") << trigger.stopped_in;
    EXPECT_THAT(message, HasSubstr(saved ? "--resume" : "interrupted before the search"));
    toy.tune(path, saved);
    for (const char* file : {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin"}) {
      EXPECT_TRUE(contents(path / file) == contents(folder / "expected" / file))
          << file << " after a stop at event " << events << " in stage " << trigger.stopped_in;
    }
  }
  EXPECT_GE(events, 8);
}

INSTANTIATE_TEST_SUITE_P(Recipes, StopAtEveryEvent, testing::ValuesIn(kRecipes),
                         [](const auto& of) { return std::string(of.param.name); });

/// Sets the flag at the n-th sample that is read, and counts on.
class CountedDataset : public Dataset {
 public:
  CountedDataset(std::shared_ptr<const Dataset> of, StopFlag& stop, int at)
      : of_(std::move(of)), stop_(stop), at_(at) {}
  Shape shape() const override { return of_->shape(); }
  std::int64_t size() const override { return of_->size(); }
  std::int64_t classes() const override { return of_->classes(); }
  std::span<const std::int32_t> labels() const override { return of_->labels(); }
  const std::string& fingerprint() const override { return of_->fingerprint(); }
  std::string description() const override { return of_->description(); }
  void read(std::int64_t index, std::span<float> out) const override {
    if (++reads == at_) stop_ = true;
    of_->read(index, out);
  }
  mutable std::atomic<int> reads{0};

 private:
  std::shared_ptr<const Dataset> of_;
  StopFlag& stop_;
  const int at_;
};

TEST(Stop, AnAnalysisSaysWhatIsKeptAndLeavesARunAsItIs) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  for (const char* name : {"beside", "run"}) {
    const bool beside_run = name == std::string("run");
    const std::string before = beside_run ? contents(folder / "run/sensitivity.json") : "";
    for (const int event : {0, 1}) {
      toy.stop = false;
      Trigger trigger(toy.stop, event);
      try {
        analyse_sensitivity(toy.request(folder / name), trigger);
        ADD_FAILURE() << "was not interrupted";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::interrupted);
        EXPECT_EQ(trigger.stopped_in, event == 0 ? "reference" : "sensitivity");
        EXPECT_THAT(error.what(), HasSubstr("interrupted before the layers were ranked; "));
        EXPECT_THAT(error.what(), HasSubstr(beside_run   ? "run holds a run, which stays as it is"
                                            : event == 0 ? "nothing is saved yet"
                                                         : "but for the float reference nothing is saved"));
      }
      EXPECT_EQ(std::filesystem::exists(folder / name / "sensitivity.json"), beside_run);
    }
    toy.stop = false;
    test::SilentObserver observer;
    analyse_sensitivity(toy.request(folder / name), observer);
    EXPECT_TRUE(!beside_run || contents(folder / "run/sensitivity.json") == before);
  }
  EXPECT_TRUE(contents(folder / "beside/sensitivity.json") == contents(folder / "run/sensitivity.json"));
}

TEST(Stop, NoMoreThanATileOfSamplesIsReadAfterIt) {
  constexpr int kTile = 16;
  TemporaryFolder folder;
  int answered = 0;
  for (int at = 1; at < 700; at += 37) {
    ToyProblem toy;
    const auto counted = std::make_shared<CountedDataset>(toy.train, toy.stop, at);
    toy.train = counted;
    test::SilentObserver observer;
    try {
      tune(toy.request(folder / std::to_string(at)), observer);
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::interrupted) << error.what();
      EXPECT_LE(counted->reads, at + kTile) << "stopped at read " << at;
      ++answered;
    }
  }
  EXPECT_GE(answered, 8);
}

TEST(Stop, AFlagThatIsSetBeforehandLeavesNothingBehind) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.stop = true;
  test::SilentObserver observer;
  try {
    tune(toy.request(folder / "run"), observer);
    FAIL() << "was not interrupted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::interrupted);
    EXPECT_THAT(error.what(), HasSubstr("nothing is saved yet"));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "run/reference.bin"));
}

}  // namespace
}  // namespace qnudge
