// SPDX-License-Identifier: MIT
// What the planner remembers and says, on a stand-in for cuDNN.
#include "cuda/runtime/cudnn_planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "cuda/cudnn/conv_graph.hpp"
#include "cudnn/fake_cudnn.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A product over `taps` taps.
ConvTask product(std::int64_t images, std::int64_t taps) {
  ConvTask task;
  task.images = images;
  task.in = {1, 1, taps};
  task.out = {1, 1, 64};
  task.filter = {64, 1, 1, taps};
  return task;
}

class Planner : public testing::Test {
 protected:
  std::unique_ptr<ConvPlanner> open() const {
    return make_cudnn_planner(fake_.api(), "a device", folder_ / "plans", {.streams = 1});
  }
  test::FakeCudnn fake_;
  const qnudge::test::TemporaryFolder folder_;
};

TEST_F(Planner, DoesNotGiveWiderCodesAPlanThatIsExactForNarrowOnesAlone) {
  fake_.takes_codes = false;  // as of a depthwise convolution, for which halves are the only way
  const ConvTask task = product(4, 2048);
  ASSERT_TRUE(half_is_exact(task, 4));
  ASSERT_FALSE(half_is_exact(task, 8));
  for (const bool narrow_first : {true, false}) {
    const auto planner = open();
    for (const int bits : {narrow_first ? 4 : 8, narrow_first ? 8 : 4, 4, 8}) {
      EXPECT_EQ(planner->prepare(task, bits)->vendor(), bits == 4) << bits << " bits, narrow first " << narrow_first;
    }
    EXPECT_EQ(planner->prepare(task, 3), planner->prepare(task, 4)) << "made once";
  }
}

TEST_F(Planner, AsksCudnnForNoDepthwiseConvolutionOfCodes) {
  ConvTask task;
  task.role = ConvRole::shared;
  task.candidates = 3;
  task.in = task.out = {8, 8, 32};
  task.filter = {32, 3, 3, 1};
  task.geometry = {{.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}, 32};
  task.epilogue.addition = FusedAddition{};
  const auto conv = open()->prepare(task, 8);
  EXPECT_EQ(conv->description(), "depthwise kernel, 16 channels a thread");
  EXPECT_TRUE(conv->vendor()) << "additions are fused into it";
  EXPECT_EQ(fake_.compiled, 0);
  task.half = true;
  EXPECT_THAT(open()->prepare(task, 8)->description(), HasSubstr("cuDNN"));
}

TEST_F(Planner, StoresPlansWhileItLives) {
  const auto first = open();
  first->prepare(product(4, 64), 8);
  ASSERT_EQ(fake_.compiled, 1);
  open()->prepare(product(4, 64), 8);
  EXPECT_EQ(fake_.compiled, 1) << "compiled again: a run that is killed would leave nothing";
  EXPECT_EQ(fake_.rebuilt, 1);
}

TEST_F(Planner, WarnsWhereMuchIsLeftToThePlainKernel) {
  fake_.takes_codes = false;
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  open()->prepare(product(4, 2048), 8);
  const std::string of_little = log.str();
  open()->prepare(product(1 << 16, 2048), 8);
  spdlog::set_default_logger(before);
  EXPECT_THAT(of_little, Not(HasSubstr("plain kernel")));
  EXPECT_THAT(log.str(), HasSubstr("[warning] single N65536"));
  EXPECT_THAT(log.str(), HasSubstr("plain kernel: no engine of cuDNN takes this graph"));
}

}  // namespace
}  // namespace qnudge::cuda
