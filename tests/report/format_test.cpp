// SPDX-License-Identifier: MIT
#include "qnudge/report/format.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <sstream>

#include "qnudge/core/error.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

TEST(Format, Numbers) {
  EXPECT_EQ(percent_text(0.8545), "85.45 %");
  EXPECT_EQ(percent_text(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(points_text(0.0831), "+8.31");
  EXPECT_EQ(points_text(-0.00001), "+0.00");
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1000), "1,000");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(count_text(-123), "-123");
  EXPECT_EQ(count_text(-123456), "-123,456");
  EXPECT_EQ(count_text(std::numeric_limits<std::int64_t>::min()), "-9,223,372,036,854,775,808");
  EXPECT_EQ(rate_text(0), "0.00");
  EXPECT_EQ(rate_text(999.4), "999");
  EXPECT_EQ(rate_text(999.6), "1.00 k");
  EXPECT_EQ(rate_text(512345), "512 k");
  EXPECT_EQ(rate_text(1234567), "1.23 M");
  EXPECT_EQ(rate_text(9996), "10.0 k");
  EXPECT_EQ(rate_text(-1), "-");
  EXPECT_EQ(bytes_text(1023), "1023 B");
  EXPECT_EQ(bytes_text(40960), "40.0 KiB");
  EXPECT_EQ(bytes_text(1048575), "1.0 MiB");
  EXPECT_EQ(duration_text(4.26), "4.3 s");
  EXPECT_EQ(duration_text(59.96), "1 min 00 s");
  EXPECT_EQ(duration_text(192), "3 min 12 s");
  EXPECT_EQ(duration_text(3599.7), "1 h 00 min");
  EXPECT_EQ(duration_text(3725), "1 h 02 min");
  EXPECT_EQ(duration_text(-1), "0.0 s");
  EXPECT_EQ(p_value_text(0.0312), "p = 0.031");
  EXPECT_EQ(p_value_text(0), "p < 1e-6");
}

TEST(Format, Fitness) {
  EXPECT_EQ(fitness_text(FitnessKind::top1, 875, 1000), "87.50 %");
  EXPECT_EQ(fitness_text(FitnessKind::cross_entropy, -65536 * 5, 10), "0.5000 nats");
  EXPECT_EQ(fitness_text(FitnessKind::reconstruction, -10246, 20), "error 512.3");
  EXPECT_EQ(fitness_text(FitnessKind::kl, 0, 10), "0.0000 nats");
  EXPECT_EQ(fitness_text(FitnessKind::top1, 1, 0), "-");
}

TEST(Format, CorrectAnswersAreReadBackFromTheLexicographicFitness) {
  for (const std::int64_t correct : {0, 1, 7, 1024}) {
    for (const std::int64_t loss : {std::int64_t{0}, std::int64_t{1}, 1024 * kLossCap}) {
      EXPECT_EQ(fitness_text(FitnessKind::top1_then_cross_entropy, correct * kCorrectWeight - loss, 1024),
                percent_text(static_cast<double>(correct) / 1024))
          << correct << " correct, loss " << loss;
    }
  }
}

TEST(TextTable, AlignsColumnsAndDropsTrailingBlanks) {
  TextTable table({{"name", TextTable::Align::left}, {"n"}, {"remark", TextTable::Align::left}});
  table.add({"größe", "1", "x"});
  table.add_rule();
  table.add({"b", "1,000", ""});
  EXPECT_EQ(table.text(),
            "name       n  remark\n"
            "--------------------\n"
            "größe      1  x\n"
            "--------------------\n"
            "b      1,000\n");
  EXPECT_THROW(table.add({"too", "few"}), Error);
}

TEST(Version, IsTheBuilds) {
  std::ifstream file(QNUDGE_SOURCE_DIR "/CMakeLists.txt");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find(std::string("project(qnudge VERSION ") + kVersion + " "), std::string::npos) << kVersion;
}

}  // namespace
}  // namespace qnudge
