// SPDX-License-Identifier: MIT
// The shares of device memory that a search gets, over real networks and every size of device, without one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/engine/memory_plan.hpp"
#include "qnudge/core/error.hpp"
#include "shape_network.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;

constexpr std::int64_t kGibibyte = std::int64_t{1} << 30;

ChunkLimits limits_of(std::int64_t bytes, int streams = 4) {
  return {.bytes = static_cast<std::size_t>(bytes), .streams = streams};
}

/// All that a plan promises, checked against the network itself.
void expect_valid(const IntNetwork& n, const LayerPlan& plan, const PopulationOptions& options, std::int64_t count,
                  const ChunkLimits& limits, const SearchMemory& m) {
  EXPECT_LE(m.total(), static_cast<std::int64_t>(limits.bytes));
  ASSERT_TRUE(m.candidates >= 1 && m.candidates <= options.offspring);
  ASSERT_TRUE(m.chunk.images >= 1 && m.chunk.images <= count);
  ASSERT_TRUE(m.chunk.streams >= 1 && m.chunk.streams <= limits.streams);
  std::int64_t largest = 0;
  for (int node : searched_nodes(plan)) largest = std::max(largest, n.at(node).shape.size());
  EXPECT_LT(largest * m.candidates * m.chunk.images, std::int64_t{1} << 31);
  EXPECT_LE(m.chunk.images * m.candidates, std::max<std::int64_t>(limits.rows, m.candidates));
  // What is live at once is at least the searched layer's output beside what it reads.
  const std::int64_t out = n.at(plan.node).shape.size();
  EXPECT_GE(m.activations, m.chunk.streams * m.chunk.images * m.candidates * out);
  const Layer& layer = n.layer(n.at(plan.node).layer());
  EXPECT_LT(m.candidates * layer.filter.size(), std::int64_t{1} << 31);
  EXPECT_EQ(m.parents, options.parents * layer.filter.size());
  EXPECT_GE(m.filters, m.candidates * layer.filter.size());
}

TEST(MemoryPlan, FitsEveryLayerOfRealNetworksOnEveryDevice) {
  const std::pair<const char*, IntNetwork> networks[] = {{"ResNet18", test::resnet18_shapes()},
                                                         {"VGG16", test::vgg16_shapes()}};
  int planned = 0, refused = 0;
  for (const auto& [name, n] : networks) {
    for (int layer = 0; layer < static_cast<int>(n.layers.size()); ++layer) {
      const LayerPlan plan = make_layer_plan(n, layer);
      for (const std::int32_t p : {1, 16, 32, 33, 64, 256}) {
        for (const std::int64_t gibibytes : {8, 24, 80, 141}) {
          const PopulationOptions options{.parents = p, .offspring = p};
          const ChunkLimits limits = limits_of(gibibytes * kGibibyte);
          SCOPED_TRACE(fmt::format("{} layer {}, P {}, {} GiB", name, layer, p, gibibytes));
          try {
            expect_valid(n, plan, options, 2048, limits, plan_search_memory(n, plan, options, 2048, limits));
            ++planned;
          } catch (const Error& e) {
            EXPECT_THAT(e.what(), HasSubstr("lower search.parents or data.fitness"));
            const Layer& l = n.layer(layer);
            std::int64_t cached = 0;
            for (int node : plan.cut) cached += node == 0 ? 0 : 2048 * n.at(node).shape.size();
            EXPECT_GT(p * l.filter.size() + cached + l.filter.size() + n.at(plan.node).shape.size(),
                      gibibytes * kGibibyte - kGibibyte)
                << "refused though far from full: " << e.what();
            ++refused;
          }
        }
      }
    }
  }
  EXPECT_GT(planned, 850);
  EXPECT_GT(refused, 0) << "256 parents of VGG16's first product do not fit 8 or 24 GiB";
}

TEST(MemoryPlan, HalvesNeedTwiceTheTensorsAndFiltersAsCodesAndAsHalves) {
  const IntNetwork codes = test::resnet18_shapes();
  IntNetwork halves = codes;
  halves.activations = Activations::half;
  const LayerPlan plan = make_layer_plan(codes, 5);
  const PopulationOptions options{.parents = 32, .offspring = 32};
  const SearchMemory a = plan_search_memory(codes, plan, options, 2048, limits_of(141 * kGibibyte));
  const SearchMemory b = plan_search_memory(halves, plan, options, 2048, limits_of(141 * kGibibyte));
  ASSERT_EQ(a.candidates, b.candidates);
  ASSERT_EQ(a.chunk.images, b.chunk.images);
  const Layer& layer = codes.layer(5);
  EXPECT_GT(a.cache, 0);
  EXPECT_EQ(b.cache, 2 * a.cache);
  EXPECT_EQ(b.activations, 2 * a.activations);
  EXPECT_EQ(b.filters, a.filters + 2 * b.candidates * layer.filter.size());
  EXPECT_EQ(b.parents, a.parents);
}

TEST(MemoryPlan, LargeDevicesAreFilledAndSmallOnesShareOutCandidates) {
  const IntNetwork n = test::resnet18_shapes();
  const LayerPlan plan = make_layer_plan(n, 1);
  const PopulationOptions options{.parents = 32, .offspring = 32};
  const SearchMemory large = plan_search_memory(n, plan, options, 2048, limits_of(141 * kGibibyte));
  EXPECT_EQ(large.candidates, 32);
  EXPECT_EQ(large.chunk.images, 64);
  EXPECT_EQ(large.chunk.streams, 4);
  // The cache alone needs 392 MiB.
  const SearchMemory small = plan_search_memory(n, plan, options, 2048, limits_of(400 << 20));
  EXPECT_LT(small.candidates * small.chunk.images * small.chunk.streams, 64);
  EXPECT_EQ(plan_search_memory(n, plan, {.offspring = 32, .chunk = 5}, 2048, limits_of(8 * kGibibyte)).candidates, 5);
  EXPECT_EQ(plan_search_memory(n, plan, options, 3, limits_of(8 * kGibibyte)).chunk.images, 3) << "all at once";
}

/// VGG16's first product has 102.8 million codes: 32 sets of them are more than indices of 32 bits can count.
TEST(MemoryPlan, SplitsCandidatesWhoseFiltersIndicesCannotCount) {
  const IntNetwork n = test::vgg16_shapes();
  const LayerPlan plan = make_layer_plan(n, 13);
  ASSERT_EQ(n.layer(13).filter.size(), 4096 * 7 * 7 * 512);
  for (const auto& [offspring, resident] : {std::pair{16, 16}, {20, 20}, {21, 11}, {32, 16}, {33, 17}, {64, 16}}) {
    const PopulationOptions options{.parents = 32, .offspring = offspring};
    EXPECT_EQ(plan_search_memory(n, plan, options, 256, limits_of(141 * kGibibyte)).candidates, resident) << offspring;
  }
}

TEST(MemoryPlan, LastRoundsHaveAsMuchToDoAsTheFirst) {
  const ChunkNeeds needs{.row_bytes = 100, .image_bytes = 10, .largest = 10};
  for (std::int64_t count = 1; count < 300; count += 7) {
    for (const int streams : {1, 2, 3, 4}) {
      const auto choice = fit_chunk(needs, 8, count, {.bytes = 1 << 16, .streams = streams, .rows = 128});
      ASSERT_TRUE(choice.has_value());
      const std::int64_t round = choice->images * choice->streams, rounds = (count + round - 1) / round;
      EXPECT_LT(rounds * round - count, rounds * choice->streams) << count << " images, " << streams << " streams";
    }
  }
  EXPECT_EQ(fit_chunk(needs, 4, 10, {.bytes = 1, .images = 3})->images, 3) << "by hand";
}

TEST(MemoryPlan, NamesTheSmallestNeed) {
  const IntNetwork n = test::resnet18_shapes();
  const auto message = [&](int layer, const PopulationOptions& options, std::int64_t bytes) {
    try {
      plan_search_memory(n, make_layer_plan(n, layer), options, 100, limits_of(bytes));
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::device);
      return std::string(e.what());
    }
    return std::string("no error");
  };
  // 32 parents of 36,864 codes; 100 images of 56 x 56 x 64 codes; two tensors of that size at work and one copied.
  EXPECT_THAT(message(1, {}, 1 << 20), HasSubstr("layer 'layer1'"));
  EXPECT_THAT(message(1, {}, 1 << 20), HasSubstr("1.1 MiB parents, 19.1 MiB cached inputs"));
  EXPECT_THAT(message(1, {}, 1 << 20), HasSubstr("and 1.0 MiB are left"));
  EXPECT_EQ(message(1, {}, 1 << 28), "no error");
}

TEST(MemoryPlan, ProgramsWithoutCandidatesNameTheirNeed) {
  const IntNetwork n = test::resnet18_shapes();
  EXPECT_THROW(choose_chunk(n, {1, 2}, 10, limits_of(1000)), Error);
  EXPECT_EQ(choose_chunk(n, {1, 2}, 10, limits_of(kGibibyte, 1)).images, 10) << "never more than there are";
}

}  // namespace
}  // namespace qnudge::cuda
