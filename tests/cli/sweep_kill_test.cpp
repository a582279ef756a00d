// SPDX-License-Identifier: MIT
// A sweep that is killed (SIGKILL, no warning) at random instants and started again ends in the same bytes as one that
// never was, and does no run twice.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "disk_problem.hpp"
#include "process.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using test::contents;

std::vector<std::string> command(const test::DiskProblem& disk, const std::string& out) {
  return {"sweep", disk.path("sweep.json"), "--out", disk.path(out), "--jobs", "2"};
}

/// results.jsonl without times.
std::string results(const fs::path& folder) {
  std::string text;
  std::istringstream lines(contents(folder / "results.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    nlohmann::ordered_json entry = nlohmann::ordered_json::parse(line);
    for (const char* time : {"seconds", "search_seconds"}) entry.erase(time);
    text += entry.dump() + '\n';
  }
  return text;
}

TEST(SweepKill, RandomInstantsChangeNoByteAndRepeatNoRun) {
  const test::DiskProblem disk;
  std::ofstream(disk.path("sweep.json")) << fmt::format(
      R"({{"base": "{}", "axes": {{"quant.grid.bits": [2, 3, 4], "seed": [1, 2],
"search.generations": [40], "search.start": ["bias"], "checkpoint_generations": [7]}}}})",
      disk.config());
  const auto begun = Clock::now();
  ASSERT_EQ(test::wait_for(test::start(command(disk, "whole"))), 0);
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun).count();

  std::mt19937 random(6);
  std::map<std::string, fs::file_time_type> done;  // by run: when its result was written
  int kills = 0;
  for (int attempt = 0; kills < 8; ++attempt) {
    ASSERT_LT(attempt, 100) << "the sweep never begins";
    const pid_t child = test::start(command(disk, "killed"));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<unsigned>(duration / 6)));
    ::kill(child, SIGKILL);
    const int code = test::wait_for(child);
    if (!fs::exists(disk / "killed")) continue;  // too early
    if (code == -1) ++kills;
    for (const auto& entry : fs::directory_iterator(disk / "killed")) {
      if (!fs::exists(entry.path() / "report.json")) continue;
      const auto written = fs::last_write_time(entry.path() / "report.json");
      const auto [known, fresh] = done.emplace(entry.path().filename(), written);
      EXPECT_EQ(known->second, written) << entry.path() << " was done already";
    }
    if (code == 0) break;  // nothing is left to kill
  }
  EXPECT_GE(kills, 2);
  ASSERT_EQ(test::wait_for(test::start(command(disk, "killed"))), 0);
  EXPECT_EQ(results(disk / "killed"), results(disk / "whole"));
  int runs = 0;
  for (const auto& entry : fs::directory_iterator(disk / "whole")) {
    if (!fs::exists(entry.path() / "tuned.onnx")) continue;
    ++runs;
    for (const char* name :
         {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin", "config.resolved.json"}) {
      const fs::path other = disk / "killed" / entry.path().filename() / name;
      const bool names_its_folder = std::string(name) == "config.resolved.json";
      EXPECT_TRUE(names_its_folder ? fs::exists(other) : contents(other) == contents(entry.path() / name)) << other;
    }
  }
  EXPECT_EQ(runs, 6);
}

}  // namespace
}  // namespace qnudge
