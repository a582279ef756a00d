// SPDX-License-Identifier: MIT
// The float network against doubles, straight from the definitions of its operators.
#include "qnudge/cpu/float_executor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <random>

#include "qnudge/core/error.hpp"
#include "quant/float_oracle.hpp"
#include "support/random_graph.hpp"

namespace qnudge {
namespace {

using test::relu_table;

/// Samples drawn once, kept as floats [count, H, W, C].
struct Samples {
  std::int64_t count = 0, size = 0;
  std::vector<float> values;

  Samples(const Graph& graph, std::int64_t n, std::uint64_t seed) : count(n), size(graph.input_shape().size()) {
    std::mt19937 engine(static_cast<std::uint32_t>(seed));
    for (std::int64_t i = 0; i < count * size; ++i) {
      values.push_back(static_cast<float>(engine() >> 8) / static_cast<float>(1 << 23) - 1.0f);
    }
  }
  SampleReader reader() const {
    return [this](std::int64_t first, std::int64_t n, std::span<float> out) {
      ASSERT_EQ(static_cast<std::int64_t>(out.size()), n * size);
      std::copy_n(values.begin() + first * size, n * size, out.begin());
    };
  }
  test::Reals sample(std::int64_t i) const { return {values.begin() + i * size, values.begin() + (i + 1) * size}; }
};

void expect_close(double found, double expected, double scale, const std::string& what) {
  EXPECT_NEAR(found, expected, 1e-4 * std::max(scale, 1.0)) << what;
}

/// Output, ranges and means of every node against the oracle.
void compare_with_oracle(const Graph& graph, const Samples& samples, int threads) {
  std::vector<float> ranges;
  std::vector<std::vector<double>> means;
  FloatObservation observe{.ranges = &ranges, .mean_nodes = {}, .means = &means};
  for (int i = 0; i < static_cast<int>(graph.nodes.size()); ++i) observe.mean_nodes.push_back(i);
  const std::vector<float> output = FloatExecutor(graph, threads).run(samples.count, samples.reader(), observe);

  const std::int64_t outputs = graph.output_shape().size();
  ASSERT_EQ(static_cast<std::int64_t>(output.size()), samples.count * outputs);
  std::vector<double> largest(graph.nodes.size(), 0.0);
  std::vector<std::vector<double>> sums(graph.nodes.size());
  for (std::int64_t i = 0; i < samples.count; ++i) {
    const auto all = test::evaluate(graph, samples.sample(i));
    for (std::size_t n = 0; n < all.size(); ++n) {
      const auto channels = static_cast<std::size_t>(graph.nodes[n].shape.c);
      sums[n].resize(channels);
      for (std::size_t v = 0; v < all[n].size(); ++v) {
        largest[n] = std::max(largest[n], std::abs(all[n][v]));
        sums[n][v % channels] += all[n][v];
      }
    }
    for (std::int64_t v = 0; v < outputs; ++v) {
      const auto n = static_cast<std::size_t>(graph.output);
      expect_close(output[static_cast<std::size_t>(i * outputs + v)], all[n][static_cast<std::size_t>(v)], largest[n],
                   "output");
    }
  }
  ASSERT_EQ(ranges.size(), graph.nodes.size());
  ASSERT_EQ(means.size(), graph.nodes.size());
  for (std::size_t n = 0; n < sums.size(); ++n) {
    const Node& node = graph.nodes[n];
    expect_close(ranges[n], largest[n], largest[n], "range of " + node.name);
    for (std::size_t c = 0; c < sums[n].size(); ++c) {
      const auto positions = static_cast<double>(samples.count * node.shape.h * node.shape.w);
      expect_close(means[n][c], sums[n][c] / positions, largest[n], "mean of " + node.name);
    }
  }
}

class RandomFloatNetworks : public testing::TestWithParam<int> {};

TEST_P(RandomFloatNetworks, EveryNodeAgreesWithTheOracle) {
  for (int i = 0; i < 25; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 25 + i);
    const Graph graph = test::random_graph(seed);
    compare_with_oracle(graph, Samples(graph, 3 + i % 17, seed), 1 + i % 2);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(, RandomFloatNetworks, testing::Range(0, 4));

/// input -> conv 3x3 -> batch norm -> relu -> {conv 1x1, max pool same} -> concat -> average pool -> gemm
Graph small_graph() {
  Graph g;
  const auto add = [&g](FloatPrimitive what, std::vector<int> inputs, Shape shape) {
    Node& node = g.nodes.emplace_back(Node{std::move(what), {}, std::move(inputs), shape});
    node.name = std::string(kind_of(node)) + std::to_string(g.nodes.size());
  };
  const auto weighed = [](FilterShape filter, bool gemm = false) {
    FloatLayer node{.filter = filter, .gemm = gemm};
    for (std::int64_t i = 0; i < filter.size(); ++i) node.weights.push_back(static_cast<float>(i * 7 % 11 - 5) / 8.0f);
    for (std::int64_t k = 0; k < filter.k; ++k) node.bias.push_back(static_cast<float>(k % 3) / 4.0f);
    node.conv.window.r = filter.r;
    node.conv.window.s = filter.s;
    return node;
  };
  add(FloatInput{}, {}, {6, 5, 3});
  FloatLayer conv = weighed({4, 3, 3, 3});
  conv.conv.window.pad_top = conv.conv.window.pad_left = conv.conv.window.pad_bottom = conv.conv.window.pad_right = 1;
  add(conv, {0}, {6, 5, 4});
  add(FloatBatchNorm{{1.5f, -0.5f, 0.25f, 2.0f}, {0.125f, 0.25f, -0.5f, 0.0f}}, {1}, {6, 5, 4});
  add(relu_table(), {2}, {6, 5, 4});
  add(weighed({2, 1, 1, 4}), {3}, {6, 5, 2});
  const Window same{.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  add(FloatWindow{WindowKind::max, same}, {3}, {6, 5, 4});
  const Shape parts[] = {{6, 5, 2}, {6, 5, 4}};
  add(FloatMove{joined_channels(parts)}, {4, 5}, {6, 5, 6});
  add(FloatWindow{WindowKind::average, {.r = 2, .s = 2, .stride_h = 2, .stride_w = 2}}, {6}, {3, 2, 6});
  add(weighed({7, 3, 2, 6}, true), {7}, {1, 1, 7});
  g.output = 8;
  return g;
}

TEST(FloatExecutor, HandMadeGraphAgreesWithTheOracle) {
  const Graph graph = small_graph();
  for (const std::int64_t count : {1, 2, 15, 16, 17, 50}) {
    compare_with_oracle(graph, Samples(graph, count, 3), 2);
  }
}

TEST(FloatExecutor, ThreadsDoNotChangeABit) {
  const Graph graph = small_graph();
  const Samples samples(graph, 203, 9);
  std::vector<float> first_output, first_ranges;
  std::vector<std::vector<double>> first_means;
  for (const int threads : {1, 2, 4}) {
    std::vector<float> ranges;
    std::vector<std::vector<double>> means;
    const FloatObservation observe{.ranges = &ranges, .mean_nodes = {2, 4, 8, 2}, .means = &means};
    const auto output = FloatExecutor(graph, threads).run(samples.count, samples.reader(), observe);
    ASSERT_EQ(means.size(), 4u);
    EXPECT_EQ(means[0], means[3]);
    if (threads == 1) {
      first_output = output;
      first_ranges = ranges;
      first_means = means;
    }
    EXPECT_EQ(output, first_output);
    EXPECT_EQ(ranges, first_ranges);
    EXPECT_EQ(means, first_means);
  }
}

TEST(FloatExecutor, GridErrorsEqualTheDefinitionForAnyThreads) {
  const Graph graph = small_graph();
  const Samples samples(graph, 53, 5);
  // The input's own values are at hand: quantise them here.
  std::vector<float> input(static_cast<std::size_t>(53 * graph.input_shape().size()));
  samples.reader()(0, 53, input);
  GridErrors expected{};
  for (std::size_t e = 0; e < expected.size(); ++e) {
    const double step = std::ldexp(1.0, -5 - static_cast<int>(e));
    for (const float v : input) {
      const double code = std::nearbyint(std::clamp(v / step, -128.0, 127.0));
      expected[e] += (v - code * step) * (v - code * step);
    }
  }
  std::vector<GridErrors> first;
  for (const int threads : {1, 3}) {
    std::vector<GridErrors> errors;
    FloatObservation observe;
    observe.grids = {{0, -5}, {4, -3}, {0, -5}};
    observe.grid_errors = &errors;
    FloatExecutor(graph, threads).run(53, samples.reader(), observe);
    ASSERT_EQ(errors.size(), 3u);
    for (std::size_t e = 0; e < expected.size(); ++e) {
      EXPECT_NEAR(errors[0][e], expected[e], 1e-6 * expected[e]);
      EXPECT_GT(expected[e], 0.0);
    }
    EXPECT_EQ(errors[2], errors[0]);
    if (threads == 1) first = errors;
    EXPECT_EQ(errors, first);
  }
}

TEST(FloatExecutor, RangesShowWhatIsNotFinite) {
  const Graph graph = small_graph();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Samples samples(graph, 40, 1);
    samples.values[static_cast<std::size_t>(21 * samples.size + 4)] = bad;
    std::vector<float> ranges;
    FloatExecutor(graph, 2).run(samples.count, samples.reader(),
                                {.ranges = &ranges, .mean_nodes = {}, .means = nullptr});
    EXPECT_FALSE(std::isfinite(ranges[0]));
    EXPECT_FALSE(std::isfinite(ranges[1]));
  }
}

TEST(FloatExecutor, EverySampleIsReadOnce) {
  const Graph graph = small_graph();
  std::vector<std::atomic<int>> reads(101);
  FloatExecutor(graph, 2).run(101, [&](std::int64_t first, std::int64_t count, std::span<float> out) {
    std::fill(out.begin(), out.end(), 0.5f);
    for (std::int64_t i = first; i < first + count; ++i) ++reads.at(static_cast<std::size_t>(i));
  });
  for (const auto& count : reads) EXPECT_EQ(count, 1);
}

TEST(FloatExecutor, AReadersErrorArrives) {
  const Graph graph = small_graph();
  const SampleReader broken = [](std::int64_t first, std::int64_t, std::span<float> out) {
    std::fill(out.begin(), out.end(), 0.0f);
    require(first < 32, ErrorKind::input, "sample {} is broken", first);
  };
  EXPECT_THROW(FloatExecutor(graph, 2).run(100, broken), Error);
  EXPECT_THROW(FloatExecutor(graph, 2).run(0, broken), Error);
}

}  // namespace
}  // namespace qnudge
