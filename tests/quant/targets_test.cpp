// SPDX-License-Identifier: MIT
#include "qnudge/quant/targets.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <set>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/quant/quantise.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

TEST(TargetSite, IsTheAdditionWhereTheShortcutIsReadyAndTheLayerElsewhere) {
  const Graph graph = test::toy_graph();  // conv1 + ReLU -> conv2 -> addition with the skip, ReLU -> pool -> fc
  const IntNetwork network = lower(graph, BatchNormMode::separate);
  ASSERT_EQ(network.layers.size(), 3u);
  const auto name = [&](int node) { return network.at(node).name; };
  EXPECT_EQ(target_site(network, 0), (TargetSite{network.layer(0).node, -1})) << "a ReLU and two readers";
  const TargetSite second = target_site(network, 1);
  EXPECT_EQ(name(second.node), "add");
  EXPECT_EQ(second.shortcut, network.layer(0).node);
  EXPECT_EQ(target_site(network, 2), (TargetSite{network.layer(2).node, -1})) << "the output";

  const auto source = [&](int layer) {
    return graph.nodes[static_cast<std::size_t>(target_source(network, layer))].name;
  };
  EXPECT_EQ(source(0), "conv1_bn");
  EXPECT_EQ(source(1), "add") << "before its ReLU";
  EXPECT_EQ(source(2), "fc");
}

TEST(TargetSite, OfTwoLayersThatMeetOnlyTheLaterSeesTheOther) {
  Graph graph = test::toy_graph();
  for (Node& node : graph.nodes) {
    if (node.name == "add") node.inputs = {node.inputs[1], node.inputs[0]};
  }
  const IntNetwork network = lower(graph, BatchNormMode::separate);
  EXPECT_EQ(target_site(network, 1).shortcut, network.layer(0).node) << "whichever input comes first";
}

TEST(Positions, AreDrawnApartInOrderAndByAddress) {
  const Shape out{7, 5, 3};
  for (const std::int64_t wanted : {1, 4, 30, 34, 35, 1000}) {
    const auto drawn = draw_positions(9, 2, out, 50, wanted);
    const std::int64_t rows = rows_per_image(out, wanted);
    EXPECT_EQ(rows, std::min<std::int64_t>(wanted, 35));
    ASSERT_EQ(drawn.size(), static_cast<std::size_t>(50 * rows));
    for (std::int64_t image = 0; image < 50; ++image) {
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int32_t at = drawn[static_cast<std::size_t>(image * rows + r)];
        EXPECT_GE(at, r * 35 / rows);
        EXPECT_LT(at, (r + 1) * 35 / rows);
      }
    }
    const auto fewer = draw_positions(9, 2, out, 20, wanted);
    EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), drawn.begin())) << "images do not depend on their number";
  }
  EXPECT_NE(draw_positions(9, 2, out, 50, 4), draw_positions(9, 3, out, 50, 4));
  EXPECT_NE(draw_positions(9, 2, out, 50, 4), draw_positions(10, 2, out, 50, 4));
  const auto single = draw_positions(9, 2, out, 3500, 1);
  EXPECT_EQ(std::set<std::int32_t>(single.begin(), single.end()).size(), 35u) << "every position can be drawn";
}

TEST(TargetExponent, IsTheSmallestThatHoldsTheRange) {
  EXPECT_EQ(target_exponent(0), 0);
  for (const double range : {1e-6, 0.3, 1.0, 32639.0, 32640.0, 5e4, 1e9}) {
    const int e = target_exponent(range);
    EXPECT_LE(range, std::ldexp(1.0 * kTargetLimit, e));
    EXPECT_GT(range, std::ldexp(1.0 * kTargetLimit, e - 1)) << range;
  }
  EXPECT_EQ(target_exponent(kTargetLimit), 0);
  EXPECT_EQ(target_exponent(1e-300), -kExponentLimit);
}

class TargetFile : public testing::Test {
 protected:
  TargetFile() : network_(lower(test::toy_graph(), BatchNormMode::separate)) {
    TargetValues values(network_, 6, 4);
    for (int l = 0; l < 3; ++l) {
      std::int16_t next = static_cast<std::int16_t>(1000 * l - 500);
      for (std::int16_t& v : values.layer(l)) v = next++;
    }
    table_ = {6, 4, {0, 0, 0}, values.fingerprint()};
    values.save(path());
  }
  std::filesystem::path path() const { return folder_ / "targets.bin"; }
  void expect_refused(const TargetTable& table) {
    try {
      TargetValues(path(), network_, table);
      ADD_FAILURE() << "accepted";
    } catch (const Error& e) {
      EXPECT_EQ(e.kind(), ErrorKind::input);
      EXPECT_NE(std::string(e.what()).find("targets.bin"), std::string::npos) << e.what();
    }
  }

  test::TemporaryFolder folder_;
  IntNetwork network_;
  TargetTable table_;
};

TEST_F(TargetFile, ComesBackAsItWas) {
  const TargetValues values(path(), network_, table_);
  ASSERT_EQ(values.layer(0).size(), 6u * 4 * 8);
  ASSERT_EQ(values.layer(2).size(), 6u * 1 * 5) << "a product has one position";
  EXPECT_EQ(values.layer(1).front(), 500);
  EXPECT_EQ(values.layer(2).back(), 1500 + 29);
  EXPECT_EQ(values.fingerprint(), table_.fingerprint);
}

TEST_F(TargetFile, RefusesCutsFlipsAndOtherTables) {
  TargetTable other = table_;
  other.images = 7;
  expect_refused(other);
  other = table_;
  other.fingerprint[0] = other.fingerprint[0] == '0' ? '1' : '0';
  expect_refused(other);
  std::vector<std::uint8_t> bytes = read_file(path());
  bytes[5] ^= 1;
  write_file_atomically(path(), bytes);
  expect_refused(table_);
  bytes.pop_back();
  write_file_atomically(path(), bytes);
  expect_refused(table_);
  write_file_atomically(path(), std::string_view());
  expect_refused(table_);
  std::filesystem::remove(path());
  expect_refused(table_);
}

}  // namespace
}  // namespace qnudge
