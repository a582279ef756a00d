// SPDX-License-Identifier: MIT
// Whole runs on the engine: the files of a run are the host's, byte for byte.
#include <gtest/gtest.h>

#include "emulated_device.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/engine.hpp"
#include "support/series_problem.hpp"
#include "support/toy_problem.hpp"

namespace qnudge::cuda {
namespace {

using qnudge::test::contents;
using qnudge::test::TemporaryFolder;
using qnudge::test::ToyProblem;

struct Case {
  std::string name, strategy, fitness, mutation, start;
  int streams;
  std::int64_t images;
  std::int64_t chunk;
};

TEST(EngineTune, WritesTheSameBytesAsTheHost) {
  for (const Case& c : {Case{"plain", "layer", "top1_then_cross_entropy", "uniform", "nearest", 1, 0, 0},
                        {"streams", "layer", "kl", "residual", "bias", 3, 16, 4},
                        {"chunks", "layer", "cross_entropy", "uniform", "bias", 2, 7, 1},
                        {"channels", "channel", "top1", "residual", "bias", 1, 0, 0},
                        {"annealed", "channel", "top1", "uniform", "descent", 2, 16, 0},
                        {"gram", "gram", "top1", "uniform", "descent", 1, 0, 0},
                        {"gram in chunks", "gram", "top1", "uniform", "nearest", 2, 7, 0}}) {
    const TemporaryFolder folder;
    ToyProblem toy;
    toy.config.search.strategy = c.strategy;
    toy.config.search.fitness = c.fitness;
    if (c.name == "annealed") toy.config.search.rate_end = 0.01;
    toy.config.search.mutation = c.mutation;
    toy.config.search.start = c.start;
    toy.tune(folder / "host");
    toy.config.search.chunk = c.chunk;
    toy.config.checkpoint_generations = 2;
    toy.backend = make_engine(std::make_shared<test::EmulatedDevice>(test::EmulationOptions{.streams = c.streams}),
                              {.images_per_chunk = c.images});
    toy.tune(folder / "engine");
    for (const char* file : {"tuned.onnx", "history.jsonl", "sensitivity.json", "reference.bin"}) {
      EXPECT_EQ(contents(folder / "engine" / file), contents(folder / "host" / file)) << c.name << ", " << file;
      EXPECT_FALSE(contents(folder / "host" / file).empty());
    }
  }
}

/// A device that is lost in the middle of the nth layer's search.
class LosableDevice : public test::EmulatedDevice {
 public:
  LosableDevice(int searches) : EmulatedDevice({}), left_(searches) {}
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) override {
    if (left_-- > 0) return EmulatedDevice::repeat(program, times, stop);
    EmulatedDevice::repeat(program, 1, stop);
    fail(ErrorKind::device, "the device stopped");
  }

 private:
  int left_;
};

TEST(EngineTune, ARunWhoseDeviceWasLostGoesOnToTheSameBytes) {
  for (const char* strategy : {"layer", "gram"}) {
    for (int searches = 0; searches < 5; ++searches) {
      const TemporaryFolder folder;
      ToyProblem toy;
      toy.config.search.strategy = strategy;
      toy.config.checkpoint_generations = 4;
      toy.tune(folder / "whole");
      toy.backend = make_engine(std::make_shared<LosableDevice>(searches), {});
      try {
        toy.tune(folder / "lost");
        FAIL() << "the device was not lost";
      } catch (const Error& e) {
        EXPECT_EQ(e.kind(), ErrorKind::device);
      }
      toy.backend = make_engine(std::make_shared<test::EmulatedDevice>(test::EmulationOptions{}), {});
      toy.tune(folder / "lost", true);
      for (const char* file : {"tuned.onnx", "history.jsonl"}) {
        EXPECT_EQ(contents(folder / "lost" / file), contents(folder / "whole" / file)) << strategy << " " << searches;
      }
    }
  }
}

TEST(EngineTune, WritesTheSameBytesAsTheHostForSeries) {
  for (const char* strategy : {"layer", "channel", "gram"}) {
    const TemporaryFolder folder;
    qnudge::test::SeriesProblem toy;
    toy.config.search.strategy = strategy;
    toy.tune(folder / "host");
    toy.backend = make_engine(std::make_shared<test::EmulatedDevice>(test::EmulationOptions{.streams = 2}),
                              {.images_per_chunk = 16});
    toy.tune(folder / "engine");
    for (const char* file : {"tuned.onnx", "history.jsonl", "sensitivity.json", "reference.bin"}) {
      EXPECT_EQ(contents(folder / "engine" / file), contents(folder / "host" / file)) << strategy << ", " << file;
    }
  }
}

}  // namespace
}  // namespace qnudge::cuda
