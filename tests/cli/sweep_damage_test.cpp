// SPDX-License-Identifier: MIT
// What a power failure or a full disk leaves of single runs of a sweep: those are done again or listed, the others
// stay.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/disk_problem.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::contents;
using test::run;
using test::Said;
using testing::HasSubstr;

const std::string kDamaged = "seed=2";
const std::vector<std::string> kOthers = {"seed=1", "seed=3"};

class SweepDamage : public testing::Test {
 protected:
  SweepDamage() {
    std::ofstream(disk_.path("sweep.json")) << fmt::format(
        R"({{"base": "{}", "axes": {{"seed": [1, 2, 3]}}, "out": "{}"}})", disk_.config(), disk_.path("sweep"));
    EXPECT_EQ(sweep().code, 0);
    for (const std::string& name : kOthers) written_[name] = fs::last_write_time(folder() / name / "tuned.onnx");
    for (const char* file : kResults) whole_[file] = contents(damaged() / file);
  }

  static constexpr const char* kResults[] = {"tuned.onnx", "history.jsonl", "sensitivity.json", "reference.bin"};

  Said sweep() const { return run({"sweep", disk_.path("sweep.json")}); }
  fs::path folder() const { return disk_ / "sweep"; }
  fs::path damaged() const { return folder() / kDamaged; }
  std::string status(std::size_t i) const {
    std::istringstream text(contents(folder() / "results.jsonl"));
    std::string line;
    for (std::size_t at = 0; at <= i; ++at) std::getline(text, line);
    return json::parse(line).at("status");
  }
  void expect_others_untouched() const {
    for (const std::string& name : kOthers) {
      EXPECT_EQ(fs::last_write_time(folder() / name / "tuned.onnx"), written_.at(name)) << name;
    }
  }
  void expect_whole_again(const std::string& what) const {
    expect_others_untouched();
    for (const char* file : kResults)
      EXPECT_TRUE(contents(damaged() / file) == whole_.at(file)) << file << ", " << what;
    EXPECT_TRUE(json::accept(contents(damaged() / "report.json"))) << what;
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(status(i), "done") << what;
  }
  /// Makes a file of the run shorter; 0 bytes, or half of it.
  void cut(const std::string& file, bool half) const {
    fs::resize_file(damaged() / file, half ? fs::file_size(damaged() / file) / 2 : 0);
  }

  test::DiskProblem disk_;
  std::map<std::string, fs::file_time_type> written_;
  std::map<std::string, std::string> whole_;
};

TEST_F(SweepDamage, ARunIsDoneAgain) {
  for (const std::string file : {"report.json", "tuned.onnx", "config.resolved.json"}) {
    for (const char* how : {"empty", "half", "missing"}) {
      const std::string what = file + " " + how;
      if (how == std::string("missing")) {
        fs::remove(damaged() / file);
      } else {
        cut(file, how == std::string("half"));
      }
      const Said said = sweep();
      EXPECT_EQ(said.code, 0) << what << ": " << said.err;
      if (what != "report.json missing") {
        EXPECT_THAT(said.err, HasSubstr(kDamaged + "/" + file)) << what;
      }
      expect_whole_again(what);
    }
  }
}

TEST_F(SweepDamage, ARunThatCannotBeGoneOnWithIsListedWithTheRemedy) {
  cut("report.json", true);
  cut("checkpoint.bin", true);
  const Said said = sweep();
  EXPECT_EQ(said.code, 3);
  EXPECT_THAT(said.out, HasSubstr("2 of 3 runs done, 1 failed"));
  EXPECT_THAT(said.out, HasSubstr("checkpoint.bin"));
  EXPECT_THAT(said.out, HasSubstr("move its folder away"));
  EXPECT_EQ(status(1), "failed");
  expect_others_untouched();
  fs::rename(damaged(), folder() / "away");
  EXPECT_EQ(sweep().code, 0);
  expect_whole_again("begun anew");
}

TEST_F(SweepDamage, TheReportCommandListsItAndShowsTheOthers) {
  cut("report.json", true);
  const Said said = run({"report", folder().string()});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("2 of 3 runs done, 1 failed"));
  EXPECT_THAT(said.out, HasSubstr("the sweep's command does this run again"));
  EXPECT_EQ(sweep().code, 0);
  expect_whole_again("after the report command");
}

TEST_F(SweepDamage, ADamagedHistoryCostsItsPlotAlone) {
  std::ofstream(damaged() / "history.jsonl") << "{";
  std::ofstream(damaged() / "sensitivity.json") << "{";
  const Said said = run({"report", folder().string()});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("3 of 3 runs done"));
  EXPECT_THAT(contents(folder() / "report.html"), HasSubstr("Not in these plots: "));
}

}  // namespace
}  // namespace qnudge
