// SPDX-License-Identifier: MIT
// Floors and expectations against sums made by hand, and the tables of docs/performance.md against what makes them.
#include "cuda/tools/roofline.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "cuda/tools/prediction.hpp"

namespace qnudge::cuda {
namespace {

/// 3x3, same size, over 32x32 pixels: 31 images of 32 candidates.
ConvTask task_of(ConvRole role, std::int64_t c, std::int64_t k) {
  ConvTask task{role, 31, 32, {32, 32, c}, {32, 32, k}, {k, 3, 3, c}, {}, {}};
  task.geometry.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  return task;
}

constexpr Card kH100 = kCards[0], kH200 = kCards[1];

TEST(Roofline, CountsEveryByteOnce) {
  ConvTask task = task_of(ConvRole::shared, 64, 64);
  constexpr double kTensor = 31.0 * 32 * 1024 * 64, kFilter = 64.0 * 9 * 64;
  EXPECT_EQ(moved_bytes(task), 2 * kTensor + kFilter);
  task.epilogue.addition = FusedAddition{};
  EXPECT_EQ(moved_bytes(task), 3 * kTensor + kFilter) << "the residual is not free";
  EXPECT_EQ(moved_bytes(task_of(ConvRole::wide, 64, 64)), kTensor / 32 + 32 * kFilter + kTensor)
      << "one input, 32 filters";
  task.epilogue = {.float_output = true};
  EXPECT_EQ(moved_bytes(task), kTensor + kFilter + 4 * kTensor);
  EXPECT_EQ(operations_of(task), 2.0 * 31 * 32 * 1024 * 64 * 576);
}

TEST(Roofline, KnowsWhatATileWastes) {
  const Card one{"one multiprocessor", 1e12, 1e12, 1};
  // 128 x 128 x 128, two blocks along filters, over 64 filters of 64 channels: half the channels, a quarter of the
  // columns.
  EXPECT_DOUBLE_EQ(useful_share(task_of(ConvRole::shared, 64, 64), *hopper_tile(23), one), 1.0 / 8);
  EXPECT_DOUBLE_EQ(useful_share(task_of(ConvRole::shared, 64, 64), *hopper_tile(46), one), 1.0 / 4) << "no cluster";
  EXPECT_DOUBLE_EQ(useful_share(task_of(ConvRole::shared, 64, 64), *hopper_tile(47), one), 1.0);
  EXPECT_DOUBLE_EQ(useful_share(task_of(ConvRole::shared, 256, 256), *hopper_tile(23), one), 1.0);
  EXPECT_DOUBLE_EQ(useful_share(task_of(ConvRole::wide, 64, 64), *hopper_tile(23), one), 1.0 / 2) << "2,048 columns";
  // 8 blocks of 256 x 64 on 132 multiprocessors: one wave, mostly empty.
  ConvTask few = task_of(ConvRole::single, 64, 64);
  few.images = 2;
  few.candidates = 1;
  EXPECT_DOUBLE_EQ(useful_share(few, *hopper_tile(48), kH100), 8.0 / 132);
}

TEST(Roofline, RefusesConfigurationsThatCudnnRefuses) {
  int usable = 0;
  for (std::int64_t value = -1; value <= 60; ++value) usable += hopper_tile(value).has_value();
  EXPECT_EQ(usable, 17);
  EXPECT_FALSE(hopper_tile(16));
  EXPECT_FALSE(hopper_tile(30));
  EXPECT_FALSE(hopper_tile(44));
}

TEST(Roofline, TellsCardsApart) {
  EXPECT_STREQ(card_of("NVIDIA H100 80GB HBM3, CUDA 13.0, cuDNN 9.19.0")->name, "H100");
  EXPECT_STREQ(card_of("NVIDIA H200, CUDA 13.0")->name, "H200");
  EXPECT_FALSE(card_of("NVIDIA A100-SXM4-80GB"));
  const ConvTask task = task_of(ConvRole::shared, 64, 64);
  EXPECT_NEAR(1e6 * predict(task, *hopper_tile(47), kH100).memory_seconds, 43.4, 0.1);
  EXPECT_NEAR(1e6 * predict(task, *hopper_tile(47), kH200).memory_seconds, 30.2, 0.1);
  EXPECT_NEAR(1e6 * predict(task, *hopper_tile(47), kH200).compute_seconds, 37.8, 0.1);
}

TEST(Roofline, ExpectsNothingBelowAFloor) {
  for (const ModelShapes& model : published_models()) {
    for (const auto& [layer, task] : distinct_tasks(model, 32, 2048)) {
      for (const Card& card : kCards) {
        const double best = expected_seconds(task, best_configuration(task, card), card);
        EXPECT_GE(best, moved_bytes(task) / card.copy_bytes) << model.name << ", " << layer;
        EXPECT_GE(best, operations_of(task) / card.operations) << model.name << ", " << layer;
        EXPECT_LE(best, expected_seconds(task, kDefaultConfiguration, card)) << model.name << ", " << layer;
      }
    }
  }
}

TEST(Roofline, StandsInTheDocumentAsItIsComputed) {
  std::ifstream file(QNUDGE_SOURCE_DIR "/docs/performance.md");
  std::stringstream text;
  text << file.rdbuf();
  std::istringstream tables(prediction_tables());
  for (std::string line; std::getline(tables, line);) {
    EXPECT_NE(text.str().find(line + "\n"), std::string::npos) << line << "\nqnudge_conv_benchmark --predict prints it";
  }
}

}  // namespace
}  // namespace qnudge::cuda
