// SPDX-License-Identifier: MIT
#include "cuda/cudnn/engine_hints.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/cudnn/plan_ladder.hpp"
#include "fake_cudnn.hpp"
#include "qnudge/core/error.hpp"
#include "small_task.hpp"

namespace qnudge::cuda {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

ConvTask task_of(ConvRole role, std::int64_t c, std::int64_t k) {
  ConvTask task = small_task(role, role == ConvRole::single ? 1 : 32);
  task.in.c = task.filter.c = c;
  task.out.c = task.filter.k = k;
  return task;
}

std::vector<std::int64_t> kernels(const std::vector<EngineHint>& hints) {
  std::vector<std::int64_t> values;
  for (const EngineHint& hint : hints) {
    EXPECT_EQ(hint.choice.engine, 2);
    values.push_back(hint.choice.knobs.at(0).value);
  }
  return values;
}

TEST(EngineHints, ComeByShapeUntilThereIsAMeasurement) {
  const EngineHints empty(R"({"measured":[],"defaults":[]})");
  const auto of = [](const ConvTask& task, std::size_t version = 91900, int architecture = 90) {
    return EngineHints::built_in().find(hint_key(version, architecture, task));
  };
  EXPECT_THAT(empty.find(hint_key(91900, 90, task_of(ConvRole::shared, 64, 64))), IsEmpty());
  // Shapes that no network has, so that no measurement stands in the way.
  EXPECT_THAT(kernels(of(task_of(ConvRole::shared, 48, 48))), ElementsAre(47, 48, 45, 21));
  EXPECT_THAT(kernels(of(task_of(ConvRole::single, 48, 112))), ElementsAre(24, 46, 21));
  EXPECT_THAT(kernels(of(task_of(ConvRole::shared, 528, 528))), ElementsAre(23, 25, 29));
  EXPECT_THAT(kernels(of(task_of(ConvRole::wide, 528, 48))), ElementsAre(23, 25, 29));
  EXPECT_THAT(of(task_of(ConvRole::shared, 3, 48)), IsEmpty()) << "not for the aligned engine";
  EXPECT_THAT(of(task_of(ConvRole::shared, 528, 100)), IsEmpty());
  EXPECT_THAT(of(task_of(ConvRole::shared, 48, 48), 91901), IsEmpty()) << "numbers mean something else there";
  EXPECT_THAT(of(task_of(ConvRole::shared, 48, 48), 91900, 80), IsEmpty());
}

TEST(EngineHints, AreReadAsBenchmarksWriteThem) {
  ConvTask task = task_of(ConvRole::shared, 64, 64);
  task.epilogue.addition = FusedAddition{};
  const HintKey key = hint_key(91900, 90, task);
  const EngineHint hint{{7, {{5, 1}, {24, 3}}}, true};
  const std::string json = hint_json(key, hint);
  EXPECT_EQ(json, R"({"cudnn":91900,"architecture":90,"role":"shared","c":64,"k":64,"r":3,"s":3,"pixels":64,)"
                  R"("addition":true,"engine":7,"knobs":{"5":1,"24":3},"addition_apart":true})");
  EXPECT_THAT(json, testing::Not(HasSubstr("\n")));
  const EngineHints hints(fmt::format(R"({{"measured":[{}],"defaults":[]}})", json));
  EXPECT_THAT(hints.find(key), ElementsAre(hint));
  for (const auto& change : std::vector<std::function<void(HintKey&)>>{
           [](HintKey& k) { k.cudnn = 92000; }, [](HintKey& k) { k.architecture = 100; },
           [](HintKey& k) { k.role = ConvRole::single; }, [](HintKey& k) { k.c = 32; }, [](HintKey& k) { k.k = 32; },
           [](HintKey& k) { k.r = 1; }, [](HintKey& k) { k.s = 1; }, [](HintKey& k) { k.pixels = 1; },
           [](HintKey& k) { k.addition = false; }}) {
    HintKey other = key;
    change(other);
    EXPECT_THAT(hints.find(other), IsEmpty());
  }
}

TEST(EngineHints, RefuseATableThatIsNone) {
  const std::string good = hint_json(hint_key(91900, 90, task_of(ConvRole::wide, 64, 64)), {{2, {{24, 47}}}, false});
  const std::string table = fmt::format(R"({{"measured":[{}],"defaults":[]}})", good);
  EXPECT_NO_THROW(EngineHints{table});
  for (std::size_t cut = 0; cut < table.size(); ++cut) EXPECT_THROW(EngineHints{table.substr(0, cut)}, Error) << cut;
  for (const auto& [part, other] : {std::pair{"\"wide\"", "\"broad\""}, {"\"24\"", "\"x\""}, {"47", "\"47\""}}) {
    std::string changed = table;
    changed.replace(changed.find(part), std::string(part).size(), other);
    EXPECT_THROW(EngineHints{changed}, Error) << changed;
  }
}

/// Stands for what tuning does before it times anything.
class Rivals : public testing::Test {
 protected:
  std::vector<std::string> rivals(const ConvTask& task, std::size_t most, const ConvForm& form = ConvForm::whole) {
    fake_.engines = {0, 2};
    fake_.kernels = 6;
    const PlanStore none({}, "id");
    const PlanLadder ladder(fake_.api(), 90, none, EngineHints::built_in());
    std::vector<std::string> texts;
    for (const EngineHint& rival : ladder.rivals(PlanTarget(fake_.handle()), task, form, most)) {
      texts.push_back(hint_text(rival));
    }
    return texts;
  }
  test::FakeCudnn fake_;
};

TEST_F(Rivals, AreTheHeuristicsChoiceThenHintsThenAllOthers) {
  ConvTask task = task_of(ConvRole::shared, 48, 112);
  const std::vector<std::string> all = {"engine 0",
                                        "engine 2, knob 24 at 24",
                                        "engine 2, knob 24 at 46",
                                        "engine 2, knob 24 at 21",
                                        "engine 0, knob 24 at 1",
                                        "engine 0, knob 24 at 2",
                                        "engine 0, knob 24 at 3",
                                        "engine 0, knob 24 at 4",
                                        "engine 0, knob 24 at 5"};
  EXPECT_EQ(rivals(task, 100), all);
  EXPECT_EQ(rivals(task, 2), std::vector(all.begin(), all.begin() + 2));
  EXPECT_EQ(rivals(task, 100, ConvForm::whole.in_half()).size(), 6u) << "hints are for codes";
}

TEST_F(Rivals, IncludeTheAdditionApartWhereOneIsFused) {
  ConvTask task = task_of(ConvRole::shared, 48, 112);
  task.epilogue.addition = FusedAddition{};
  EXPECT_THAT(rivals(task, 8),
              ElementsAre("engine 0", "engine 2, knob 24 at 24", "engine 2, knob 24 at 46", "engine 2, knob 24 at 21",
                          "engine 0, knob 24 at 1", "engine 0, knob 24 at 2", "engine 0, knob 24 at 3",
                          "engine 0, knob 24 at 4", "engine 0, the addition apart",
                          "engine 2, knob 24 at 24, the addition apart"));
}

}  // namespace
}  // namespace qnudge::cuda
