// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/disk_problem.hpp"
#include "qnudge/search/run_folder.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using test::contents;
using test::DiskProblem;
using test::run;
using test::Said;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kRuns = {"quant.grid.bits=2,seed=1", "quant.grid.bits=2,seed=2",
                                        "quant.grid.bits=3,seed=1", "quant.grid.bits=3,seed=2"};

/// A sweep of four short runs over a problem on disk.
class SweepCommand : public ::testing::Test {
 protected:
  SweepCommand() { write(R"({"quant.grid.bits": [2, 3], "seed": [1, 2]})"); }

  void write(const std::string& axes, const std::string& more = "") const {
    std::ofstream(disk_.path("sweep.json")) << fmt::format(R"({{"base": "{}", "axes": {}, "out": "{}"{}}})",
                                                           disk_.config(), axes, disk_.path("sweep"), more);
  }
  Said sweep(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"sweep", disk_.path("sweep.json")});
    return run(more);
  }
  fs::path folder() const { return disk_ / "sweep"; }
  std::vector<json> results() const {
    std::vector<json> lines;
    std::istringstream text(contents(folder() / "results.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
    return lines;
  }

  DiskProblem disk_;
};

TEST_F(SweepCommand, EveryRunHasTheBytesOfARunOnItsOwn) {
  const Said said = sweep({"--jobs", "2"});
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("4 of 4 runs done, 0 failed"));
  for (const char* file : {"sweep.json", "results.csv", "results.jsonl", "report.html"}) {
    EXPECT_TRUE(fs::exists(folder() / file)) << file;
  }
  for (const int bits : {2, 3}) {
    for (const int seed : {1, 2}) {
      const std::string own = disk_.path(fmt::format("own{}{}", bits, seed));
      ASSERT_EQ(run({"tune", disk_.config(), "-q", "--out", own, "--set", fmt::format("quant.grid.bits={}", bits),
                     "--set", fmt::format("seed={}", seed)})
                    .code,
                0);
      const fs::path common = folder() / fmt::format("quant.grid.bits={},seed={}", bits, seed);
      for (const char* file : {"tuned.onnx", "history.jsonl", "sensitivity.json", "reference.bin"}) {
        EXPECT_EQ(contents(common / file), contents(fs::path(own) / file)) << common << " " << file;
      }
    }
  }
  ASSERT_EQ(results().size(), 4u);
  const json report = json::parse(contents(folder() / kRuns[2] / "report.json"));
  EXPECT_EQ(results()[2]["tuned_test"], report["results"]["tuned"]["test"]["value"]);
  EXPECT_EQ(results()[2]["values"], json({{"quant.grid.bits", 3}, {"seed", 1}}));
}

TEST_F(SweepCommand, DoneRunsAreNotRepeatedAndNewOnesAreAdded) {
  ASSERT_EQ(sweep({"-q"}).code, 0);
  const auto before = fs::last_write_time(folder() / kRuns[0] / "tuned.onnx");
  write(R"({"quant.grid.bits": [2, 3, 4], "seed": [1, 2]})");
  const Said said = sweep();
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, HasSubstr("4 of 6 runs are done already"));
  EXPECT_THAT(said.err, HasSubstr("run 2/2"));
  EXPECT_EQ(fs::last_write_time(folder() / kRuns[0] / "tuned.onnx"), before);
  EXPECT_EQ(results().size(), 6u);
}

TEST_F(SweepCommand, AnotherConfigModelOrDataSetIsRefused) {
  ASSERT_EQ(sweep({"-q"}).code, 0);
  const Said said = sweep({"--set", "search.rate=0.3"});
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("holds a run of another config"));

  fs::remove(folder() / kRuns[3] / "report.json");
  Graph other = test::small_graph();
  std::get<FloatLayer>(other.nodes[1].what).weights[0] += 0.5f;
  export_float_onnx(other, disk_.model());
  const Said changed = sweep();
  EXPECT_EQ(changed.code, 2);
  EXPECT_THAT(changed.err, HasSubstr("was made with another model"));
}

TEST_F(SweepCommand, AFailedRunIsListedWhileTheOthersGoOn) {
  write(fmt::format(R"({{"model": ["{}", "{}"], "seed": [1, 2]}})", disk_.path("none.onnx"), disk_.model().string()));
  const Said said = sweep();
  EXPECT_EQ(said.code, 3) << "that of the first failed run";
  EXPECT_THAT(said.out, HasSubstr("2 of 4 runs done, 2 failed"));
  EXPECT_THAT(said.out, HasSubstr("none.onnx"));
  EXPECT_EQ(results()[0]["status"], "failed");
  EXPECT_THAT(results()[0]["error"].get<std::string>(), HasSubstr("none.onnx"));
  EXPECT_EQ(results()[3]["status"], "done");
  EXPECT_TRUE(contents(folder() / "report.html").find("none.onnx does not exist") != std::string::npos);

  EXPECT_THAT(run({"report", folder().string()}).out, HasSubstr("2 failed")) << "the sentences are kept";
  export_float_onnx(test::small_graph(), disk_ / "none.onnx");
  EXPECT_EQ(sweep({"-q"}).code, 0) << "failed runs are tried again, done ones not";
}

TEST_F(SweepCommand, TwoSweepsExcludeEachOther) {
  const RunFolder taken(folder());
  const Said said = sweep();
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("another process is working in this folder"));
}

TEST_F(SweepCommand, DryRunWritesNothingAndSaysWhatItMeasured) {
  const Said first = sweep({"--dry-run"});
  EXPECT_EQ(first.code, 0) << first.err;
  for (const std::string& name : kRuns) EXPECT_THAT(first.out, HasSubstr("open  " + name));
  EXPECT_THAT(first.out, HasSubstr("4 runs: 2 x quant.grid.bits, 2 x seed"));
  EXPECT_THAT(first.out, HasSubstr("from a quick measurement of " + kRuns[0]));
  EXPECT_FALSE(fs::exists(folder()));

  ASSERT_EQ(sweep({"-q"}).code, 0);
  fs::remove(folder() / kRuns[1] / "report.json");
  const Said later = sweep({"--dry-run"});
  EXPECT_THAT(later.out, HasSubstr("done  " + kRuns[0]));
  EXPECT_THAT(later.out, HasSubstr("open  " + kRuns[1]));
  EXPECT_THAT(later.out, HasSubstr("for 1 open runs, 1 at a time; from the 3 done in this folder"));
}

TEST_F(SweepCommand, ManyCombinationsNeedAYes) {
  std::string seeds = "0";
  for (int i = 1; i <= 1000; ++i) seeds.append(",").append(std::to_string(i));
  write(fmt::format(R"({{"seed": [{}]}})", seeds));
  const Said said = sweep();
  EXPECT_EQ(said.code, 2);
  EXPECT_THAT(said.err, HasSubstr("1,001 combinations, more than 1,000; add --yes if you mean it"));
  const Said meant = sweep({"--yes", "--dry-run"});
  EXPECT_EQ(meant.code, 0) << meant.err;
  EXPECT_THAT(meant.out, HasSubstr("and 901 more"));
}

TEST_F(SweepCommand, ASignalSavesAndTheSameCommandGoesOn) {
  const auto command = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--set", "search.generations=200"});
    return sweep(std::move(more));
  };
  ASSERT_EQ(command({"-q", "--out", disk_.path("whole")}).code, 0);
  std::thread interrupter([&] {
    for (int i = 0; i < 3000 && !fs::exists(folder() / kRuns[0] / "checkpoint.bin"); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ::kill(::getpid(), SIGINT);
  });
  const Said said = command({});
  interrupter.join();
  EXPECT_EQ(said.code, 5) << said.err;
  EXPECT_THAT(said.err, HasSubstr("the same command goes on"));
  EXPECT_TRUE(fs::exists(folder() / "results.csv"));
  EXPECT_EQ(command({"-q"}).code, 0);
  for (const std::string& name : kRuns) {
    EXPECT_EQ(contents(folder() / name / "tuned.onnx"), contents(disk_ / "whole" / name / "tuned.onnx")) << name;
  }
}

TEST_F(SweepCommand, ATimeLimitEndsOneRunNotAll) {
  const Said said = sweep({"--jobs", "2", "--set", "search.generations=1000000", "--set", "stop.seconds=0.3"});
  EXPECT_EQ(said.code, 0) << said.err;
  for (const json& line : results()) EXPECT_EQ(line["stop_reason"], "seconds");
}

TEST_F(SweepCommand, AFullDiskLosesNothing) {
  ASSERT_EQ(sweep({"-q", "--set", "quant.grid.scheme=per_channel", "--out", disk_.path("whole")}).code, 0);
  // A limit on the size of files stands for the disk: the system refuses to write on.
  const auto limited = [&](int blocks) {
    const std::string command =
        fmt::format("ulimit -f {}; exec '{}' sweep '{}' --set quant.grid.scheme=per_channel 2>'{}' >/dev/null", blocks,
                    QNUDGE_BINARY, disk_.path("sweep.json"), disk_.path("said"));
    std::ofstream(disk_.path("limited.sh")) << command;
    return WEXITSTATUS(std::system(fmt::format("bash '{}'", disk_.path("limited.sh")).c_str()));
  };
  for (const int blocks : {1, 2, 4, 8}) {  // of 1,024 bytes
    EXPECT_EQ(limited(blocks), 2) << contents(disk_ / "said");
    EXPECT_THAT(contents(disk_ / "said"), HasSubstr("cannot be written: ")) << blocks;
  }
  ASSERT_EQ(sweep({"-q", "--set", "quant.grid.scheme=per_channel"}).code, 0);
  for (const std::string& name : kRuns) {
    EXPECT_EQ(contents(folder() / name / "tuned.onnx"), contents(disk_ / "whole" / name / "tuned.onnx")) << name;
  }
}

TEST_F(SweepCommand, TheReportCommandWritesTheSameFilesAnew) {
  ASSERT_EQ(sweep({"-q"}).code, 0);
  for (const fs::path& of : {folder(), folder() / kRuns[1]}) {
    const std::string page = contents(of / "report.html");
    const std::string table = contents(folder() / "results.csv");
    fs::remove(of / "report.html");
    const Said said = run({"report", of.string()});
    EXPECT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(contents(of / "report.html"), page);
    EXPECT_EQ(contents(folder() / "results.csv"), table);
  }
  const json summary = json::parse(run({"report", folder().string(), "--json"}).out);
  EXPECT_EQ(summary["groups"].size(), 2u);
  EXPECT_EQ(summary["groups"][1]["values"]["quant.grid.bits"], 3);
  EXPECT_EQ(summary["groups"][1]["runs"], 2);
  EXPECT_TRUE(summary["groups"][1]["test"]["tuned"].contains("deviation"));
}

TEST_F(SweepCommand, TheReportCommandRefusesWhatIsNoReport) {
  const auto refusal = [&](const std::string& folder_name, int code) {
    const Said said = run({"report", folder_name});
    EXPECT_EQ(said.code, code) << said.err;
    return said.err;
  };
  EXPECT_THAT(refusal(disk_.path("none"), 2), HasSubstr("holds neither report.json"));
  EXPECT_FALSE(fs::exists(disk_ / "none"));
  ASSERT_EQ(sweep({"-q"}).code, 0);
  const auto with = [&](const fs::path& path, const std::string& text, const std::string& said) {
    const std::string before = contents(path);
    std::ofstream(path) << text;
    EXPECT_THAT(refusal(path.parent_path().string(), 3), HasSubstr(said)) << text;
    std::ofstream(path) << before;
  };
  const fs::path one = folder() / kRuns[0];
  for (const char* text : {"", "[]", "{", "\xff", "{}", R"({"results": 3})"}) {
    with(one / "report.json", text, "report.json: ");
    with(one / "config.resolved.json", text, "config.resolved.json:");
    with(folder() / "sweep.json", text, "sweep.json: ");
  }
  for (const char* text : {"x\n", "{}\n", R"({"position": 0, "layer": 3, "generation": 1, "best": 2})"}) {
    with(one / "history.jsonl", text, "history.jsonl:1: is no line of a history");
  }
  with(folder() / "sweep.json", R"({"axes": ["seed"], "runs": [{"run": "x", "values": []}]})", "there are 1 axes");
  fs::remove(one / "history.jsonl");
  EXPECT_THAT(refusal(one.string(), 3), HasSubstr("history.jsonl: cannot be read"));
}

TEST_F(SweepCommand, TunePagesOfAllStrategiesAreMade) {
  for (const char* recipe : {"best", "channel", "paper"}) {
    const std::string out = disk_.path(recipe);
    ASSERT_EQ(run({"tune", disk_.config(), "-q", "--set", "search={}", "--set", fmt::format("recipe={}", recipe),
                   "--set", "search.generations=3", "--out", out})
                  .code,
              0);
    const std::string page = contents(fs::path(out) / "report.html");
    for (const char* part : {"<!DOCTYPE html>", "Top-1 of every model", "codes changed", "95 % interval"}) {
      EXPECT_THAT(page, HasSubstr(part)) << recipe;
    }
    EXPECT_THAT(page, HasSubstr(std::string(recipe) == "paper" ? "least sensitive first" : "Not measured")) << recipe;
  }
}

}  // namespace
}  // namespace qnudge
