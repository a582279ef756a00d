// SPDX-License-Identifier: MIT
// What a plan hands to cuDNN when it is run, on a stand-in for the library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>

#include "cuda/cudnn/conv_plan.hpp"
#include "fake_cudnn.hpp"

namespace qnudge::cuda {
namespace {

ConvTask task_of(ConvRole role, std::int64_t candidates) {
  ConvTask task;
  task.role = role;
  task.images = 4;
  task.candidates = candidates;
  task.in = task.out = {8, 8, 16};
  task.filter = {16, 3, 3, 16};
  task.geometry.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  return task;
}

class ConvExecution : public testing::Test {
 protected:
  std::shared_ptr<const ConvPlan> plan(const ConvTask& task, ConvForm form = ConvForm::whole) const {
    return plan_conv(fake_.api(), PlanTarget(fake_.handle()), task, form).plan;
  }
  /// Pointers into host memory: nothing is read or written.
  ConvPointers everything() const {
    return {&memory_[0],
            &memory_[16],
            reinterpret_cast<const float*>(&memory_[32]),
            reinterpret_cast<const float*>(&memory_[48]),
            &memory_[64],
            const_cast<std::byte*>(&memory_[80]),
            nullptr};
  }
  std::set<std::int64_t> named() const {
    std::set<std::int64_t> ids;
    for (const auto& [id, pointer] : fake_.executed.back()) {
      if (id < 100) ids.insert(id);  // scalars have numbers of their own
    }
    return ids;
  }

  test::FakeCudnn fake_;
  alignas(256) const std::array<std::byte, 256> memory_{};
};

TEST_F(ConvExecution, NamesTheTensorsOfTheGraphAndNoOther) {
  ConvTask task = task_of(ConvRole::shared, 3);
  plan(task)->execute(fake_.handle(), everything());
  EXPECT_EQ(named(), (std::set<std::int64_t>{1, 2, 3, 4, 6})) << "a residual that the graph does not have";
  task.epilogue.addition = FusedAddition{};
  plan(task)->execute(fake_.handle(), everything());
  EXPECT_EQ(named(), (std::set<std::int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(fake_.executed.back().at(static_cast<std::int64_t>(Port::residual)), everything().residual);
  EXPECT_EQ(fake_.executed.back().at(static_cast<std::int64_t>(Port::y)), everything().y);
}

}  // namespace
}  // namespace qnudge::cuda
