// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "qnudge/cpu/float_executor.hpp"

namespace qnudge {
namespace {

/// What a map makes of images whose elements are numbered.
std::vector<float> moved(const ElementMap& map, const Shape& in, const Shape& out, std::int64_t images) {
  Graph graph;
  graph.nodes = {{FloatInput{}, "input", {}, in}, {FloatMove{map}, "move", {0}, out}};
  graph.output = 1;
  const auto numbers = [&](std::int64_t first, std::int64_t, std::span<float> values) {
    std::iota(values.begin(), values.end(), static_cast<float>(first * in.size()));
  };
  return FloatExecutor(graph, 1).run(images, numbers, {});
}

TEST(ElementMap, BoxesMoveElementsAtAnyDistance) {
  // [2, 3, 4] to [3, 4, 2] in every image: y[w, c, h] = x[h, w, c].
  const ElementMap transposed{{{.input = 0, .axes = {{2, 12, 1}, {3, 4, 8}, {4, 1, 2}}}}};
  const std::vector<float> y = moved(transposed, {2, 3, 4}, {3, 4, 2}, 3);
  for (int n = 0; n < 3; ++n)
    for (int h = 0; h < 2; ++h)
      for (int w = 0; w < 3; ++w)
        for (int c = 0; c < 4; ++c)
          EXPECT_EQ(y.at(static_cast<std::size_t>(n * 24 + (w * 4 + c) * 2 + h)),
                    static_cast<float>(n * 24 + (h * 3 + w) * 4 + c));
}

TEST(ElementMap, RunsRepeatAndBeginAnywhere) {
  // The last two channels of each pixel, then all of it once more from the first.
  const ElementMap map{{{.input = 0, .from = 2, .to = 0, .axes = {{2, 4, 6}, {2, 1, 1}}},
                        {.input = 0, .from = 0, .to = 2, .axes = {{2, 4, 6}, {4, 1, 1}}}}};
  EXPECT_EQ(moved(map, {2, 1, 4}, {2, 1, 6}, 1), (std::vector<float>{2, 3, 0, 1, 2, 3, 6, 7, 4, 5, 6, 7}));
  EXPECT_EQ(moved({}, {2, 1, 2}, {1, 1, 4}, 1), (std::vector<float>{0, 1, 2, 3})) << "a view";
}

}  // namespace
}  // namespace qnudge
