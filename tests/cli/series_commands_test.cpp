// SPDX-License-Identifier: MIT
// Commands on CSV series from end to end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/disk_problem.hpp"
#include "qnudge/core/files.hpp"
#include "support/series_problem.hpp"

namespace qnudge {
namespace {

using nlohmann::json;
using test::contents;
using test::json_of;
using test::run;
using test::Said;
using testing::HasSubstr;
using testing::Not;

/// An autoencoder, CSV files and a config.
class SeriesDisk {
 public:
  SeriesDisk() {
    export_float_onnx(test::autoencoder_graph(4, 5, 1, 3), folder_ / "model.onnx");
    write_series("train", test::wave_series(260, 5, false, 1));
    write_series("test", test::wave_series(240, 5, true, 3));
    std::ofstream(config()) << fmt::format(
        R"({{"recipe": "best", "model": "{0}/model.onnx", "data": {{"format": "csv", "train_images": "{0}/train.csv",
"test_images": "{0}/test.csv", "calibration": 40, "fitness": 40, "gate": 40,
"series": {{"window": 4, "label_column": "Normal/Attack", "time_column": "Timestamp"}}}},
"quant": {{"grid": {{"bits": 3}}}}, "search": {{"generations": 4}}, "threads": 1, "out": "{0}/run"}})",
        (folder_ / "x").parent_path().string());
  }

  std::string config() const { return path("series.json"); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// As raw exports are: a line of groups, blanks, decimal commas.
  void write_series(const std::string& name, const Series& series) const {
    std::string text = ";P1;P1;P1;P2;P2;\r\n Timestamp;";
    for (const std::string& sensor : series.names) text += " " + sensor + ";";
    text += " Normal/Attack\r\n";
    for (std::int64_t row = 0; row < series.rows(); ++row) {
      text += fmt::format(" 28/12/2015 {}:{:02}:{:02} AM;", 10 + row / 3600, row / 60 % 60, row % 60);
      for (std::size_t s = 0; s < series.names.size(); ++s) {
        std::string value =
            fmt::format("{:.6f}", series.values[static_cast<std::size_t>(row) * series.names.size() + s]);
        value[value.find('.')] = ',';
        text += value + ";";
      }
      text += series.anomalous[static_cast<std::size_t>(row)] ? "A ttack\r\n" : "Normal\r\n";
    }
    std::ofstream(path(name + ".csv"), std::ios::binary) << text;
  }

 private:
  test::TemporaryFolder folder_;
};

TEST(SeriesCommands, TuneReportsF1AndStoresTheScaling) {
  const SeriesDisk disk;
  const Said said = run({"tune", disk.config(), "-q"});
  ASSERT_EQ(said.code, 0) << said.err;
  for (const char* part : {"F1 test (n = ", "F1 threshold (n = ", "best-threshold F1 on test", "error fitness (n = 40)",
                           "tuned - nearest"}) {
    EXPECT_THAT(said.out, HasSubstr(part));
  }
  const json report = json::parse(contents(disk.path("run/report.json")));
  for (const char* model : {"float", "nearest", "bias", "start", "tuned"}) {
    const json& result = report["results"][model];
    EXPECT_EQ(result["fitness"]["metric"], "squared_error") << model;
    EXPECT_EQ(result["gate"]["metric"], "squared_error") << model;
    EXPECT_EQ(result["threshold"]["metric"], "f1") << model;
    EXPECT_EQ(result["test"]["metric"], "f1") << model;
    EXPECT_GE(result["test"]["best_threshold_f1"], result["test"]["value"]) << model;
    EXPECT_EQ(result["threshold"]["best_threshold_f1"], result["threshold"]["value"]) << model;
    EXPECT_EQ(result["test"]["threshold"], result["threshold"]["threshold"]) << model;
  }
  EXPECT_EQ(report["results"]["float"]["test"]["n"], 237 - 118 - 3) << "windows less half and the border";
  EXPECT_GT(report["results"]["float"]["test"]["value"], 0) << "some anomalies are seen";
  EXPECT_THAT(report["interval"]["method"].get<std::string>(), HasSubstr("bootstrap of F1"));

  const json resolved = json::parse(contents(disk.path("run/config.resolved.json")));
  EXPECT_EQ(resolved["data"]["series"]["offset"].size(), 5u);
  EXPECT_EQ(resolved["data"]["series"]["scale"].size(), 5u);
  const std::string tuned = contents(disk.path("run/tuned.onnx"));
  EXPECT_EQ(run({"tune", disk.config(), "--resume", "-q"}).code, 0);
  EXPECT_EQ(contents(disk.path("run/tuned.onnx")), tuned);
}

TEST(SeriesCommands, ATestFileThatLacksASensorIsBlamedForIt) {
  const SeriesDisk disk;
  disk.write_series("test", test::wave_series(240, 4, true, 3));
  const Said said = run({"eval", disk.config(), "--float", "-q"});
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.err, HasSubstr("test.csv: has 4 sensors, the training series 5; "));
  EXPECT_THAT(said.err, HasSubstr(" missing"));
}

TEST(SeriesCommands, EvalOfTheTunedModelGivesTheReportsNumbers) {
  const SeriesDisk disk;
  ASSERT_EQ(run({"tune", disk.config(), "-q"}).code, 0);
  const json report = json::parse(contents(disk.path("run/report.json")));
  const json tuned = json_of(run({"eval", "--model", disk.path("run/tuned.onnx"), "--json", "-q"}));
  EXPECT_EQ(tuned["results"]["tuned"]["test"], report["results"]["tuned"]["test"]);
  const json both = json_of(run({"eval", disk.config(), "--json", "-q"}));
  EXPECT_EQ(both["results"]["float"]["test"], report["results"]["float"]["test"]);
  EXPECT_EQ(both["results"]["nearest"]["test"], report["results"]["nearest"]["test"]);
  const Said text = run({"eval", disk.config(), "--float", "-q", "--predictions", disk.path("flags.npy"),
                         "--save-inputs", disk.path("inputs.npy")});
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("116 test time steps"));
  EXPECT_THAT(text.out, HasSubstr("best-threshold F1"));
  EXPECT_EQ(contents(disk.path("flags.npy")).size(), 128 + 116 * 4u);
  EXPECT_THAT(contents(disk.path("inputs.npy")), HasSubstr("(116, 4, 5,)"));
}

/// With inputs a hundred times as large errors are beyond 1, which no share of right answers is.
TEST(SeriesCommands, PagesShowF1AndErrors) {
  const SeriesDisk disk;
  const Said tuned =
      run({"tune", disk.config(), "-q", "--set", "recipe=paper", "--set", "search.generations=1", "--set",
           "data.series.offset=[0,0,0,0,0]", "--set", "data.series.scale=[0.01,0.01,0.01,0.01,0.01]"});
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  const json report = json::parse(contents(disk.path("run/report.json")));
  ASSERT_GT(report["results"]["tuned"]["fitness"]["value"], 1);
  const std::string page = contents(disk.path("run/report.html"));
  for (const char* part : {"F1 over test steps", "Mean squared error of every model",
                           "F1 on test steps: ", "Squared error against generation 0",
                           "Mean squared error on calibration windows, the layer alone at 4 bits"}) {
    EXPECT_THAT(page, HasSubstr(part));
  }
  EXPECT_THAT(page, Not(HasSubstr("Top-1")));
}

TEST(SeriesCommands, SweepsCompareF1) {
  const SeriesDisk disk;
  std::ofstream(disk.path("sweep.json")) << fmt::format(
      R"({{"base": "{}", "axes": {{"quant.grid.bits": [2, 3], "seed": [1, 2]}}, "out": "{}"}})", disk.config(),
      disk.path("sweep"));
  const Said said = run({"sweep", disk.path("sweep.json"), "-q"});
  ASSERT_EQ(said.code, 0) << said.err;
  const std::string page = contents(disk.path("sweep/report.html"));
  for (const std::string& text : {said.out, page}) {
    EXPECT_THAT(text, HasSubstr("F1 on test steps in per cent: means over seeds"));
    EXPECT_THAT(text, Not(HasSubstr("Top-1")));
  }
  EXPECT_THAT(page, HasSubstr("Mean squared error on calibration windows, the layer alone"));
}

TEST(SeriesCommands, OthersWorkToo) {
  const SeriesDisk disk;
  const Said check = run({"check", disk.config(), "--backends", "reference,host", "-q"});
  EXPECT_EQ(check.code, 0) << check.err;
  const Said sensitivity = run({"sensitivity", disk.config(), "-q", "--out", disk.path("ranking")});
  EXPECT_EQ(sensitivity.code, 0) << sensitivity.err;
  EXPECT_THAT(sensitivity.out, HasSubstr("squared error on calibration windows"));
  const Said quality = run({"bench", "quality", disk.config(), "-q", "--out", disk.path("quality")});
  EXPECT_EQ(quality.code, 2);
  EXPECT_THAT(quality.err, HasSubstr("series are judged by F1"));
}

TEST(SeriesCommands, BadFilesEndWithThreeAndTheirLine) {
  const SeriesDisk disk;
  Series series = test::wave_series(240, 5, true, 3);
  series.anomalous.assign(240, 0);
  disk.write_series("test", series);
  const Said normal = run({"tune", disk.config(), "-q"});
  EXPECT_EQ(normal.code, 3);
  EXPECT_THAT(normal.err, HasSubstr("none of the 118 windows that choose the threshold are anomalous"));
  std::ofstream(disk.path("test.csv"), std::ios::app) << " 28/12/2015 11:00:00 AM;1;2;3;;5;Normal\n";
  const Said missing = run({"tune", disk.config(), "-q"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("test.csv:243: the value of 'sensor 3' is missing"));
}

}  // namespace
}  // namespace qnudge
