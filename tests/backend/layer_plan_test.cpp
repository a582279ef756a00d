// SPDX-License-Identifier: MIT
#include "qnudge/backend/layer_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "support/random_network.hpp"

namespace qnudge {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

IntNode node(IntPrimitive what, std::vector<int> inputs) {
  IntNode n;
  n.what = std::move(what);
  n.inputs = std::move(inputs);
  return n;
}

/// 0 input, 1 conv A, 2 conv B(1), 3 downsample conv C(1), 4 add(2, 3), 5 conv D(4), 6 add(5, 4), 7 view, 8 conv E.
IntNetwork residual_network() {
  IntNetwork n;
  n.nodes = {node(IntInput{}, {}),       node(IntLayer{0}, {0}),     node(IntLayer{1}, {1}),
             node(IntLayer{2}, {1}),     node(IntCombine{}, {2, 3}), node(IntLayer{3}, {4}),
             node(IntCombine{}, {5, 4}), node(IntMove{}, {6}),       node(IntLayer{4}, {7})};
  n.layers.resize(5);
  for (int i = 0; i < 9; ++i) {
    if (n.at(i).layer() >= 0) n.layer(n.at(i).layer()).node = i;
  }
  n.output = 8;
  return n;
}

TEST(LayerPlan, SkipAcrossTheCut) {
  const LayerPlan plan = make_layer_plan(residual_network(), 3);
  EXPECT_THAT(plan.prefix, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(plan.cut, ElementsAre(4));  // both the layer's input and the skip
  EXPECT_THAT(plan.suffix, ElementsAre(6, 7, 8));
}

TEST(LayerPlan, DownsampleBranchBesideTheLayer) {
  const LayerPlan plan = make_layer_plan(residual_network(), 1);
  EXPECT_THAT(plan.prefix, ElementsAre(0, 1, 3));
  EXPECT_THAT(plan.cut, ElementsAre(1, 3));
  EXPECT_THAT(plan.suffix, ElementsAre(4, 5, 6, 7, 8));
}

TEST(LayerPlan, FirstLayerHasTwoConsumers) {
  const LayerPlan plan = make_layer_plan(residual_network(), 0);
  EXPECT_THAT(plan.prefix, ElementsAre(0));
  EXPECT_THAT(plan.cut, ElementsAre(0));
  EXPECT_THAT(plan.suffix, ElementsAre(2, 3, 4, 5, 6, 7, 8));
}

TEST(LayerPlan, LayerThatIsTheOutputReadsThroughAView) {
  const LayerPlan plan = make_layer_plan(residual_network(), 4);
  EXPECT_THAT(plan.cut, ElementsAre(6));  // the view owns no bytes
  EXPECT_THAT(plan.suffix, IsEmpty());
}

TEST(LayerPlan, RandomGraphsAreCutCleanly) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const IntNetwork network = test::random_network(seed);
    for (int l = 0; l < static_cast<int>(network.layers.size()); ++l) {
      const LayerPlan plan = make_layer_plan(network, l);
      const std::set<int> prefix(plan.prefix.begin(), plan.prefix.end()), cut(plan.cut.begin(), plan.cut.end());
      std::set<int> behind(plan.suffix.begin(), plan.suffix.end());
      behind.insert(plan.node);
      for (int i : plan.prefix) {
        EXPECT_FALSE(behind.contains(i));
        for (int in : network.at(i).inputs) EXPECT_TRUE(prefix.contains(in)) << "seed " << seed << " layer " << l;
      }
      for (int i : behind) {
        for (int in : network.at(i).inputs) {
          EXPECT_TRUE(behind.contains(in) || cut.contains(storage_node(network, in)))
              << "seed " << seed << " layer " << l;
        }
      }
      for (int i : plan.cut) EXPECT_TRUE(prefix.contains(i));
      EXPECT_TRUE(behind.contains(network.output)) << "every layer reaches the output";
    }
  }
}

}  // namespace
}  // namespace qnudge
