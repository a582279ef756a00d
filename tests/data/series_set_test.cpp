// SPDX-License-Identifier: MIT
#include <algorithm>
#include <random>
#include <set>

#include "data/support.hpp"
#include "qnudge/data/open.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Sensor s of row r is 100 s + r; all normal.
Series counting(std::int64_t rows, std::int64_t sensors = 2) {
  Series series{.origin = "counting", .names = {}, .values = {}, .anomalous = {}, .gaps = {}};
  for (std::int64_t s = 0; s < sensors; ++s) series.names.push_back(fmt::format("s{}", s));
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t s = 0; s < sensors; ++s) series.values.push_back(static_cast<double>(100 * s + r));
  }
  series.anomalous.assign(static_cast<std::size_t>(rows), 0);
  return series;
}

/// No scaling, so that values name their rows.
SeriesConfig plain(std::int64_t window, std::size_t sensors = 2) {
  return {.window = window, .offset = std::vector<double>(sensors, 0.0), .scale = std::vector<double>(sensors, 1.0)};
}

std::vector<float> sample(const Dataset& data, std::int64_t i) {
  std::vector<float> values(static_cast<std::size_t>(data.shape().size()));
  data.read(i, values);
  return values;
}

TEST(SeriesSet, WindowsAreChannelsAndSensorsAreLength) {
  const auto data = make_series_set({counting(6)}, plain(3), true, "here");
  EXPECT_EQ(data->shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(data->size(), 4);
  EXPECT_EQ(data->classes(), 2);
  EXPECT_EQ(data->overlap(), 2);
  EXPECT_THAT(sample(*data, 0), ElementsAre(0, 1, 2, 100, 101, 102)) << "the oldest row is channel 0";
  EXPECT_THAT(sample(*data, 3), ElementsAre(3, 4, 5, 103, 104, 105));
  std::vector<float> small(5);
  EXPECT_THROW(data->read(0, small), Error);
  small.resize(6);
  EXPECT_THROW(data->read(4, small), Error);
  EXPECT_THROW(data->read(-1, small), Error);
}

TEST(SeriesSet, AWindowsLabelIsItsLastRows) {
  Series s = counting(6);
  s.anomalous = {1, 0, 0, 1, 0, 1};
  const auto data = make_series_set({s}, plain(3), false, "here");
  EXPECT_THAT(data->labels(), ElementsAre(0, 1, 0, 1));
}

TEST(SeriesSet, NoWindowSpansFilesGapsOrAnomaliesInTraining) {
  Series first = counting(10), second = counting(4);
  first.gaps = {4};
  first.anomalous[7] = 1;
  const auto train = make_series_set({first, second}, plain(3), true, "here");
  std::vector<float> starts;
  for (std::int64_t i = 0; i < train->size(); ++i) starts.push_back(sample(*train, i)[0]);
  EXPECT_THAT(starts, ElementsAre(0, 1, 4, 0, 1)) << "rows 0-3 and 4-6 of the first, 0-3 of the second";
  ASSERT_EQ(train->runs().size(), 3u);
  EXPECT_EQ(train->runs()[2].first, 3);
  EXPECT_EQ(train->runs()[2].count, 2);
  EXPECT_THAT(train->description(), HasSubstr("1 rows marked as anomalous are left out"));
  EXPECT_THAT(train->description(), HasSubstr("no window spans the 1 gaps in time"));
  EXPECT_THAT(train->description(), HasSubstr("2 rows are left out in stretches shorter than a window"));
  const auto test = make_series_set({first, second}, plain(3), false, "here");
  EXPECT_EQ(test->size(), 2 + 4 + 2) << "anomalies stay in the test series";
  EXPECT_THAT(test->description(), Not(HasSubstr("marked as anomalous are left out")));
}

TEST(SeriesSet, ScalingIsFittedOnNormalTrainingRowsOnly) {
  Series s = counting(10, 3);
  for (std::size_t r = 0; r < 10; ++r) s.values[3 * r + 2] = 7;  // a constant sensor
  s.values[3 * 9] = 1000, s.anomalous[9] = 1;
  const auto train = make_series_set({s}, {.window = 2}, true, "here");
  ASSERT_NE(train->scaling(), nullptr);
  EXPECT_THAT(train->scaling()->offset, ElementsAre(0, 100, 7));
  EXPECT_THAT(train->scaling()->scale, ElementsAre(8, 8, 1));
  EXPECT_THAT(train->description(), HasSubstr("constant sensors, scaled by 1: s2"));
  EXPECT_THAT(sample(*train, 7), ElementsAre(0.875, 1, 0.875, 1, 0, 0));
  const SeriesConfig stored = {.window = 2, .offset = train->scaling()->offset, .scale = train->scaling()->scale};
  const auto test = make_series_set({s}, stored, false, "here");
  EXPECT_EQ(sample(*test, 8)[1], 125) << "test values may leave [0, 1]";
}

TEST(SeriesSet, RefusesWhatGivesNoWindows) {
  const auto refusal = [](std::vector<Series> series, const SeriesConfig& config) {
    return input_refusal([&] { make_series_set(std::move(series), config, true, "here"); });
  };
  EXPECT_THAT(refusal({counting(3)}, plain(4)), HasSubstr("as long as a window of 4 rows"));
  Series attacked = counting(5);
  attacked.anomalous.assign(5, 1);
  EXPECT_THAT(refusal({attacked}, plain(2)), HasSubstr("every row is marked as anomalous"));
  Series other = counting(5);
  other.names[1] = "x";
  EXPECT_THAT(refusal({counting(5), other}, plain(2)), HasSubstr("(s0, x) are not the 2 of counting (s0, s1)"));
  EXPECT_THAT(refusal({counting(5)}, plain(2, 3)), HasSubstr("has 2 sensors, but data.series.offset has 3 values"));
  EXPECT_THAT(refusal({}, plain(2)), HasSubstr("holds no series"));
}

TEST(SeriesSet, ATestSetHasTheSensorsAndTheScalingOfItsTrainingSet) {
  const auto trained = make_series_set({counting(20, 3)}, {.window = 3}, true, "training");
  const auto test = make_series_set({counting(30, 3)}, {.window = 3}, false, "tested", trained.get());
  EXPECT_EQ(test->scaling()->scale, trained->scaling()->scale);
  const auto refused = [&](Series series) {
    series.origin = "test.csv";
    return input_refusal([&] { make_series_set({series}, {.window = 3}, false, "tested", trained.get()); });
  };
  EXPECT_EQ(refused(counting(30, 2)), "test.csv: has 2 sensors, the training series 3; s2 missing");
  EXPECT_EQ(refused(counting(30, 4)), "test.csv: has 4 sensors, the training series 3; s3 not in the training series");
  Series renamed = counting(30, 3);
  renamed.names = {"s0", "x", "s2"};
  EXPECT_EQ(refused(renamed),
            "test.csv: has 3 sensors, the training series 3; s1 missing; x not in the training series");
  renamed.names = {"s0", "s2", "s1"};
  EXPECT_EQ(refused(renamed),
            "test.csv: has 3 sensors, the training series 3; their order is s0, s2, s1, not s0, s1, s2");
}

TEST(SeriesSet, FingerprintFollowsValuesLabelsWindowsAndScaling) {
  const auto print = [](const Series& s, const SeriesConfig& config) {
    return make_series_set({s}, config, false, "here")->fingerprint();
  };
  const std::string base = print(counting(9), plain(3));
  EXPECT_EQ(print(counting(9), plain(3)), base);
  Series moved = counting(9), marked = counting(9), torn = counting(9);
  moved.values[4] += 1e-3;
  marked.anomalous[8] = 1;
  torn.gaps = {5};
  for (const Series& s : {moved, marked, torn, counting(10)}) EXPECT_NE(print(s, plain(3)), base);
  EXPECT_NE(print(counting(9), plain(4)), base);
  SeriesConfig scaled = plain(3);
  scaled.scale[1] = 2;
  EXPECT_NE(print(counting(9), scaled), base);
}

/// Rows of a window, as (run, row) pairs made from its first value.
std::set<std::int64_t> rows_of(const Dataset& data, const Indices& indices) {
  std::set<std::int64_t> rows;
  std::size_t run = 0;
  Indices sorted = indices;
  std::sort(sorted.begin(), sorted.end());
  for (const std::int64_t i : sorted) {
    while (i >= data.runs()[run].first + data.runs()[run].count) ++run;
    for (std::int64_t w = 0; w <= data.overlap(); ++w) {
      rows.insert(static_cast<std::int64_t>(run) * 100000 + i - data.runs()[run].first + w);
    }
  }
  return rows;
}

bool disjoint(const std::set<std::int64_t>& a, const std::set<std::int64_t>& b) {
  return std::none_of(a.begin(), a.end(), [&](std::int64_t row) { return b.contains(row); });
}

struct SplitSets {
  std::shared_ptr<const Dataset> train, test;
  explicit SplitSets(std::int64_t window) {
    Series attacked = counting(300);
    for (std::size_t r = 0; r < 300; r += 7) attacked.anomalous[r] = 1;
    train = make_series_set({counting(200), counting(120)}, plain(window), true, "train");
    test = make_series_set({attacked, attacked}, plain(window), false, "test");
  }
};

TEST(SeriesSplits, NoRowIsSharedAcrossABorder) {
  for (const std::int64_t window : {1, 2, 5, 16}) {
    const SplitSets sets(window);
    for (const double part : {0.01, 0.3, 0.5, 0.99}) {
      const Splits s = make_splits(*sets.train, *sets.test,
                                   {.calibration = 30, .fitness = 40, .gate = 20, .seed = 3, .threshold_part = part});
      EXPECT_EQ(s.calibration.size(), 30u);
      EXPECT_EQ(s.fitness.size(), 40u);
      EXPECT_EQ(s.gate.size(), 20u);
      EXPECT_TRUE(std::equal(s.calibration.begin(), s.calibration.end(), s.fitness.begin()));
      EXPECT_TRUE(disjoint(rows_of(*sets.train, s.fitness), rows_of(*sets.train, s.gate))) << window;
      EXPECT_TRUE(disjoint(rows_of(*sets.test, s.threshold), rows_of(*sets.test, s.test))) << window << " " << part;
      EXPECT_TRUE(std::is_sorted(s.test.begin(), s.test.end()));
      const auto lost = static_cast<std::size_t>(2 * sets.test->overlap());
      EXPECT_LE(s.threshold.size() + s.test.size(), static_cast<std::size_t>(sets.test->size()));
      EXPECT_GE(s.threshold.size() + s.test.size() + lost, static_cast<std::size_t>(sets.test->size()));
    }
  }
}

TEST(SeriesSplits, AreDrawnBySeedAndThinnedEvenly) {
  const SplitSets sets(4);
  const auto splits = [&](std::uint64_t seed, std::int64_t test) {
    return make_splits(*sets.train, *sets.test,
                       {.calibration = 30, .fitness = 30, .gate = 20, .test = test, .seed = seed});
  };
  EXPECT_EQ(splits(1, 0).fitness, splits(1, 0).fitness);
  EXPECT_NE(splits(1, 0).fitness, splits(2, 0).fitness);
  EXPECT_NE(splits(1, 0).gate, splits(2, 0).gate);
  EXPECT_EQ(splits(1, 0).test, splits(2, 0).test) << "all of it, whatever the seed";
  const Indices all = splits(1, 0).test, some = splits(1, 50).test;
  ASSERT_EQ(some.size(), 50u);
  EXPECT_EQ(splits(1, 50).threshold.size(), 50u);
  EXPECT_EQ(some.front(), all.front());
  for (std::size_t i = 1; i < some.size(); ++i) {
    const auto at = [&](std::int64_t index) { return std::find(all.begin(), all.end(), index) - all.begin(); };
    EXPECT_NEAR(static_cast<double>(at(some[i]) - at(some[i - 1])), static_cast<double>(all.size()) / 50, 1);
  }
}

TEST(SeriesSplits, PaperProtocolScoresOnTestWindows) {
  const SplitSets sets(4);
  const Splits s =
      make_splits(*sets.train, *sets.test, {.calibration = 30, .fitness = 30, .gate = 20, .paper_protocol = true});
  EXPECT_TRUE(s.fitness_from_test);
  for (const std::int64_t i : s.fitness) EXPECT_TRUE(std::binary_search(s.test.begin(), s.test.end(), i));
}

TEST(SeriesSplits, RefuseWhatTheyCannotGive) {
  const SplitSets sets(4);
  const auto refusal = [&](const SplitRequest& r, ErrorKind kind) {
    return input_refusal([&] { make_splits(*sets.train, *sets.test, r); }, kind);
  };
  EXPECT_THAT(refusal({.calibration = 10, .fitness = 1000, .gate = 10}, ErrorKind::usage),
              HasSubstr("data.fitness asks for 1000 windows"));
  EXPECT_THAT(refusal({.calibration = 10, .fitness = 10, .gate = 1000}, ErrorKind::usage), HasSubstr("data.gate"));
  EXPECT_THAT(refusal({.calibration = 1000, .fitness = 10, .gate = 10}, ErrorKind::usage),
              HasSubstr("data.calibration"));
  Series other = counting(50);
  other.names[0] = "x";
  const auto foreign = make_series_set({other}, plain(4), false, "foreign");
  EXPECT_THAT(input_refusal([&] { make_splits(*sets.train, *foreign, {.calibration = 1, .fitness = 1, .gate = 1}); }),
              HasSubstr("differ in their sensors: s0, s1; x, s1"));
}

TEST(SeriesSplits, F1NeedsBothKindsOfWindows) {
  const auto verdict = [](const std::vector<std::uint8_t>& anomalous) {
    Series s = counting(static_cast<std::int64_t>(anomalous.size()));
    s.anomalous = anomalous;
    const auto train = make_series_set({counting(100)}, plain(1), true, "train");
    const auto test = make_series_set({s}, plain(1), false, "test");
    const Splits splits = make_splits(*train, *test, {.calibration = 1, .fitness = 1, .gate = 1});
    return input_refusal([&] { require_both_kinds(*test, splits); });
  };
  EXPECT_EQ(verdict({0, 1, 0, 1}), "");
  EXPECT_THAT(verdict({0, 0, 0, 1}), HasSubstr("none of the 2 windows that choose the threshold are anomalous"));
  EXPECT_THAT(verdict({1, 1, 0, 1}), HasSubstr("all of the 2 windows that choose the threshold"));
  EXPECT_THAT(verdict({0, 1, 0, 0}), HasSubstr("none of the 2 windows that are test"));
  EXPECT_THAT(verdict({0, 1, 1, 1}), HasSubstr("all of the 2 windows that are test"));
}

TEST(TimeBlocks, EndWithTheirRunAndAfterTheirSteps) {
  const auto data = make_series_set({counting(1200), counting(10)}, plain(1), false, "here");
  Indices all(static_cast<std::size_t>(data->size()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const std::vector<std::int32_t> blocks = time_blocks(*data, all);
  EXPECT_EQ(std::count(blocks.begin(), blocks.end(), 0), 500);
  EXPECT_EQ(std::count(blocks.begin(), blocks.end(), 1), 500);
  EXPECT_EQ(std::count(blocks.begin(), blocks.end(), 2), 200);
  EXPECT_EQ(std::count(blocks.begin(), blocks.end(), 3), 10);
  EXPECT_THAT(time_blocks(*data, {3, 502, 503, 1199, 1200}), ElementsAre(0, 0, 1, 2, 3));
}

TEST(OpenSeries, TakesItsOwnFilesOfAFolder) {
  const char* data_folder = std::getenv("QNUDGE_DATA");
  if (data_folder == nullptr) GTEST_SKIP() << "QNUDGE_DATA is not set";
  DataConfig config{.format = "npy"};
  config.train_images = config.test_images = {std::string(data_folder) + "/telemanom/MSL"};
  config.series.window = 4;
  const auto train = open_dataset(config, true);
  EXPECT_EQ(train->size(), 58317 - 27 * 3) << "27 channels of 58,317 rows";
  EXPECT_EQ(train->shape(), (Shape{55, 1, 4}));
  EXPECT_EQ(train->runs().size(), 27u);
  const auto test = open_dataset(config, false);
  EXPECT_EQ(test->size(), 73729 - 27 * 3);
}

}  // namespace
}  // namespace qnudge
