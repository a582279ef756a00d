// SPDX-License-Identifier: MIT
// What a plan hands to cuDNN when it is run, on a stand-in for the library.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "cuda/cudnn/conv_plan.hpp"
#include "fake_cudnn.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/phases.hpp"
#include "small_task.hpp"

namespace qnudge::cuda {
namespace {

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
  ConvTask task = small_task(ConvRole::shared, 3);
  plan(task)->execute(fake_.handle(), everything());
  EXPECT_EQ(named(), (std::set<std::int64_t>{1, 2, 3, 4, 6})) << "a residual that the graph does not have";
  task.epilogue.addition = FusedAddition{};
  plan(task)->execute(fake_.handle(), everything());
  EXPECT_EQ(named(), (std::set<std::int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(fake_.executed.back().at(static_cast<std::int64_t>(Port::residual)), everything().residual);
  EXPECT_EQ(fake_.executed.back().at(static_cast<std::int64_t>(Port::y)), everything().y);
}

TEST_F(ConvExecution, RefusesWhatIsLessAlignedThanPromised) {
  const auto conv = plan(small_task(ConvRole::single, 1));
  ConvPointers at = everything();
  at.x = &memory_[8];
  try {
    conv->execute(fake_.handle(), at);
    FAIL() << "8 of 16 bytes are enough";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::internal);
    EXPECT_THAT(e.what(), testing::HasSubstr("aligned to 16 bytes"));
  }
  EXPECT_TRUE(fake_.executed.empty());
}

TEST_F(ConvExecution, PlansAreToldWholeWhateverTheirLength) {
  for (const std::size_t length : {2ul, 1048576ul, 1048577ul, 3000000ul}) {
    fake_.json = std::string(length - 1, '{') + "}";
    EXPECT_EQ(plan(small_task(ConvRole::single, 1))->json(), fake_.json) << length;
  }
}

std::int64_t promised(const ConvTask& task, ConvForm form, Port port) {
  const ConvGraph graph = make_conv_graph(test::FakeCudnn::api(), PlanTarget(test::FakeCudnn::handle()), task, form);
  return std::ranges::find(graph.tensors, port, &GraphTensor::port)->alignment;
}

/// The filters of all phases lie one behind the other, and a phase may have fewer taps than the filter.
TEST_F(ConvExecution, PromisesOfFiltersHoldForEveryPhase) {
  int odd = 0;
  for (const bool half : {false, true}) {
    for (const ConvRole role : {ConvRole::single, ConvRole::wide, ConvRole::shared}) {
      for (const auto& [k, c] : {std::pair{123, 205}, {3, 5}, {6, 3}, {20, 12}, {16, 16}}) {
        for (std::int64_t spread = 2; spread <= 4; ++spread) {
          for (std::int64_t taps = 1; taps <= 6; ++taps) {
            ConvTask task = small_task(role, role == ConvRole::single ? 1 : 3);
            task.half = half;
            task.in = {8, 1, c};
            task.out = {8 * spread, 1, k};
            task.filter = {k, taps, 1, c};
            task.geometry = {{.r = taps, .s = 1, .pad_top = taps / 2, .pad_bottom = taps / 2}, 1, spread, 1, true};
            const Phases phases = phases_of(task);
            if (!phases.refusal.empty()) continue;
            const PhaseFilter<std::int8_t> filter{
                nullptr, nullptr, phases.h, phases.w, role == ConvRole::wide ? task.candidates : 1, k, c};
            const std::int64_t step = filter.phase_size() * operand_bytes(task);
            EXPECT_EQ(step % promised(task, ConvForm::phases, Port::w), 0) << task_text(task);
            odd += step % alignment_of(task.filter.size() * operand_bytes(task)) != 0;
          }
        }
      }
    }
  }
  EXPECT_GT(odd, 0) << "the whole filter's size would have done for all of them";
}

/// Strategy `channel` runs over blocks of rows, of which the last ends with the rows and begins anywhere.
TEST_F(ConvExecution, PromisesOfInputsHoldForBlocksThatBeginAtAnyRow) {
  for (const std::int64_t taps : {27, 36, 75, 144, 1023}) {
    for (const std::int64_t block : {16, 48, 100}) {
      for (const ConvForm form : {ConvForm::whole, ConvForm::sliced}) {
        ConvTask task = small_task(ConvRole::wide, 3);
        task.images = 1;
        task.in = {1, block, taps};
        task.out = {1, block, 16};
        task.filter = {16, 1, 1, taps};
        task.geometry = {};
        for (std::int64_t rows = block; rows < block + 16; ++rows) {
          EXPECT_EQ((rows - block) * taps % promised(task, form, Port::x), 0) << task_text(task) << ", " << rows;
        }
        EXPECT_EQ(promised(task, form, Port::x), taps == 144 ? 16 : taps == 36 ? 4 : 1);
      }
    }
  }
}

}  // namespace
}  // namespace qnudge::cuda
