// SPDX-License-Identifier: MIT
// A sweep that is killed (SIGKILL, no warning) at random instants and started again ends in the same bytes as one that
// never was, and does no run twice.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <iostream>
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

void expect_same(const fs::path& killed, const fs::path& whole) {
  EXPECT_EQ(results(killed), results(whole));
  int runs = 0;
  for (const auto& entry : fs::directory_iterator(whole)) {
    if (!fs::exists(entry.path() / "tuned.onnx")) continue;
    ++runs;
    for (const char* name : {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin"}) {
      const fs::path other = killed / entry.path().filename() / name;
      EXPECT_TRUE(contents(other) == contents(entry.path() / name)) << other;
    }
  }
  EXPECT_EQ(runs, 6);
}

/// When the result of every done run was written.
std::map<std::string, fs::file_time_type> done_runs(const fs::path& folder) {
  std::map<std::string, fs::file_time_type> done;
  if (!fs::exists(folder)) return done;  // killed before it was made
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (fs::exists(entry.path() / "report.json")) {
      done[entry.path().filename()] = fs::last_write_time(entry.path() / "report.json");
    }
  }
  return done;
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
  std::string out = "killed0";
  const int wanted = test::wanted_kills();
  int kills = 0, ends = 0;
  for (int attempt = 0; kills < wanted; ++attempt) {
    ASSERT_LT(attempt, 10 * wanted) << "the sweep ends too fast to be killed";
    const auto before = done_runs(disk / out);
    const pid_t child = test::start(command(disk, out));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<unsigned>(duration)));
    ::kill(child, SIGKILL);
    const int code = test::wait_for(child);
    const auto after = done_runs(disk / out);
    for (const auto& [run, written] : before) EXPECT_EQ(after.at(run), written) << run << " was done already";
    if (code == -1) {
      ++kills;
      continue;
    }
    ASSERT_EQ(code, 0);
    expect_same(disk / out, disk / "whole");
    fs::remove_all(disk / out);
    out = "killed" + std::to_string(++ends);  // the rest of the kills hit a new sweep
  }
  ASSERT_EQ(test::wait_for(test::start(command(disk, out))), 0);
  expect_same(disk / out, disk / "whole");
  std::cout << kills << " kills of a sweep, " << ends << " that came too late\n";
}

}  // namespace
}  // namespace qnudge
