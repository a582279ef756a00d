// SPDX-License-Identifier: MIT
// What the planner remembers and says, on a stand-in for cuDNN.
#include "cuda/runtime/cudnn_planner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <filesystem>
#include <sstream>

#include "cuda/cudnn/conv_graph.hpp"
#include "cudnn/fake_cudnn.hpp"
#include "qnudge/core/error.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;

/// A product over `taps` taps.
ConvTask product(std::int64_t images, std::int64_t taps) {
  ConvTask task;
  task.images = images;
  task.in = {1, 1, taps};
  task.out = {1, 1, 64};
  task.filter = {64, 1, 1, taps};
  return task;
}

/// What is logged while this lives, from `level` on.
class Log {
 public:
  explicit Log(spdlog::level::level_enum level = spdlog::level::info) : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::ostream_sink_mt>(text_));
    logger->set_level(level);
    spdlog::set_default_logger(logger);
  }
  ~Log() { spdlog::set_default_logger(before_); }
  std::string text() const { return text_.str(); }
  std::size_t count(const std::string& part) const {
    std::size_t found = 0;
    const std::string all = text();
    for (std::size_t at = all.find(part); at != all.npos; at = all.find(part, at + 1)) ++found;
    return found;
  }

 private:
  std::ostringstream text_;
  const std::shared_ptr<spdlog::logger> before_;
};

class Planner : public testing::Test {
 protected:
  std::unique_ptr<ConvPlanner> open(int architecture = 80, bool autotune = false) {
    return make_cudnn_planner(fake_.api(),
                              {"a device", architecture, folder_ / "plans",
                               [this] { require(!dead_, ErrorKind::device, "the device stopped"); }},
                              {.streams = 1, .autotune = autotune});
  }
  /// As another process finds what has been stored.
  std::unique_ptr<ConvPlanner> open_elsewhere(int architecture = 80) {
    std::filesystem::copy(folder_ / "plans", folder_ / "copy");
    return make_cudnn_planner(fake_.api(), {"a device", architecture, folder_ / "copy", [] {}}, {.streams = 1});
  }
  test::FakeCudnn fake_;
  const qnudge::test::TemporaryFolder folder_;
  std::atomic<bool> dead_{false};
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
  const auto planner = open();
  const ConvRequest request{task, 8};
  planner->prepare_all(std::span(&request, 1));
  EXPECT_EQ(fake_.compiled, 0) << "many are made, and this one too";
  const auto conv = planner->prepare(task, 8);
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
  const auto again = open_elsewhere()->prepare(product(4, 64), 8);
  EXPECT_EQ(fake_.compiled, 1) << "compiled again: a run that is killed would leave nothing";
  EXPECT_EQ(fake_.rebuilt, 1);
  EXPECT_THAT(again->description(), HasSubstr("cuDNN, engine 0")) << "what a stored plan was made from";
}

TEST_F(Planner, WarnsWhereMuchIsLeftToThePlainKernel) {
  fake_.takes_codes = false;
  const Log log;
  open()->prepare(product(4, 2048), 8);
  EXPECT_EQ(log.count("plain kernel"), 0u);
  open()->prepare(product(1 << 16, 2048), 8);
  EXPECT_EQ(log.count("[warning] single N65536"), 1u);
  EXPECT_EQ(log.count("plain kernel: no engine of cuDNN takes this graph"), 1u);
}

TEST_F(Planner, TriesHintsBeforeTheHeuristics) {
  fake_.engines = {0, 2};
  const Log log;
  EXPECT_THAT(open(90)->prepare(product(4, 64), 8)->description(), HasSubstr("engine 2, knob 24 at 47"));
  EXPECT_THAT(open(80)->prepare(product(4, 64), 8)->description(), HasSubstr("engine 0"))
      << "hints of another architecture";
  EXPECT_THAT(open(90)->prepare(product(4, 60), 8)->description(), HasSubstr("engine 0")) << "no hints for 60 channels";
  EXPECT_EQ(log.text(), "");
}

TEST_F(Planner, NamesHintsThatDoNotServeOnceAndFallsThrough) {
  const Log log;
  const auto planner = open(90);
  for (const int images : {4, 5, 6}) {  // this cuDNN has no engine 2
    EXPECT_THAT(planner->prepare(product(images, 64), 8)->description(), HasSubstr("engine 0"));
  }
  for (const int kernel : {47, 48, 45, 21}) {
    EXPECT_EQ(log.count(fmt::format("a hint is passed over: engine 2, knob 24 at {} is not for this graph", kernel)),
              1u);
  }
  fake_.engines = {0, 2};
  fake_.compiles = [](std::int64_t engine, std::int64_t kernel) { return engine != 2 || kernel == 45; };
  EXPECT_THAT(planner->prepare(product(7, 64), 8)->description(), HasSubstr("engine 2, knob 24 at 45"));
  EXPECT_EQ(log.count("engine 2, knob 24 at 47 fails: no"), 1u);
  EXPECT_EQ(log.count("engine 2, knob 24 at 48 fails: no"), 1u);
}

/// As after an update that has kept cuDNN's version, or with a file from elsewhere.
TEST_F(Planner, MakesStoredPlansAnewThatCudnnDoesNotTakeAnyMore) {
  {
    const auto planner = open();
    for (const int images : {4, 5, 6}) planner->prepare(product(images, 64), 8);
    ASSERT_EQ(fake_.compiled, 3);
  }
  fake_.takes_stored = false;
  fake_.json = R"({"new":1})";
  const Log log;
  {
    const auto planner = open();
    for (const int images : {4, 5, 6}) EXPECT_TRUE(planner->prepare(product(images, 64), 8)->vendor());
  }
  EXPECT_EQ(fake_.compiled, 6);
  EXPECT_EQ(log.count("plans that cuDNN does not take any more are made anew"), 1u) << log.text();
  fake_.takes_stored = true;
  open_elsewhere()->prepare(product(5, 64), 8);
  EXPECT_EQ(fake_.compiled, 6) << "the new plan was not stored";
}

TEST_F(Planner, EndsWhereTheDeviceIsGoneAndKeepsWhatItHas) {
  const auto planner = open(90);
  planner->prepare(product(4, 64), 8);
  fake_.compiles = [this](std::int64_t, std::int64_t) { return !(dead_ = true); };
  const Log log(spdlog::level::warn);
  for (const bool all : {false, true}) {
    const ConvRequest request{product(5, 64), 8};
    try {
      all ? planner->prepare_all(std::span(&request, 1)) : void(planner->prepare(request.task, 8));
      FAIL() << "went on with a dead device";
    } catch (const Error& e) {
      EXPECT_STREQ(e.what(), "the device stopped");
    }
  }
  EXPECT_EQ(log.text(), "") << "the plain kernel is no way out";
  const int before = fake_.compiled;
  open_elsewhere(90)->prepare(product(4, 64), 8);
  EXPECT_EQ(fake_.compiled, before);
}

/// Without a device nothing can be allocated or timed, as on one whose memory is full.
TEST_F(Planner, FallsThroughWhereNothingCanBeTimed) {
  fake_.kernels = 3;
  fake_.engines = {0, 2};
  const Log log;
  const auto planner = open(90, true);
  for (const int images : {4, 5}) {
    EXPECT_THAT(planner->prepare(product(images, 64), 8)->description(), HasSubstr("engine 2, knob 24 at 47"));
  }
  // Each time three kernels of engine 0, four hints, and the plan that is used.
  EXPECT_EQ(fake_.compiled, 2 * (3 + 4 + 1));
  EXPECT_EQ(log.count("not tuned"), 1u) << log.text();
  dead_ = true;
  EXPECT_THROW(planner->prepare(product(6, 64), 8), Error) << "lost in the middle of tuning";
}

TEST_F(Planner, PreparesManyAsOneByOne) {
  std::vector<ConvRequest> requests;
  for (int images = 1; images <= 20; ++images) requests.push_back({product(images, images % 2 == 0 ? 64 : 60), 8});
  requests.push_back(requests.front());
  fake_.engines = {0, 2};
  const auto together = open(90);
  together->prepare_all(requests);
  EXPECT_EQ(fake_.compiled, 20) << "each once";
  for (const ConvRequest& r : requests) {
    EXPECT_THAT(together->prepare(r.task, 8)->description(), HasSubstr(r.task.in.c == 64 ? "engine 2" : "engine 0"));
  }
  EXPECT_EQ(fake_.compiled, 20) << "they were not at hand";
}

TEST_F(Planner, OnePlanThatFailsDoesNotLoseTheOthers) {
  std::vector<ConvRequest> requests;
  for (int images = 1; images <= 9; ++images) requests.push_back({product(images, 60), 8});
  requests[4].task.epilogue.addition = FusedAddition{0.3f, 1, -128, 127};  // which the network's arithmetic excludes
  const auto planner = open();
  try {
    planner->prepare_all(requests);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::internal);
    EXPECT_THAT(e.what(), HasSubstr("multipliers 0.3 and 1; both must be powers of two"));
  }
  EXPECT_EQ(fake_.compiled, 8);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (i != 4) planner->prepare(requests[i].task, 8);
  }
  EXPECT_EQ(fake_.compiled, 8);
}

}  // namespace
}  // namespace qnudge::cuda
