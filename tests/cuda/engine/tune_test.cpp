// SPDX-License-Identifier: MIT
// Whole runs on the engine: the files of a run are the host's, byte for byte.
#include <gtest/gtest.h>

#include "emulated_device.hpp"
#include "qnudge/cuda/engine.hpp"
#include "support/series_problem.hpp"

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
