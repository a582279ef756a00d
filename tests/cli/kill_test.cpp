// SPDX-License-Identifier: MIT
// A run that is killed (SIGKILL, no warning) at random instants and resumed ends in the same bytes as one that never
// was.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <iostream>
#include <random>
#include <thread>

#include "disk_problem.hpp"
#include "process.hpp"

namespace qnudge {
namespace {

using test::start;
using test::wait_for;
using Clock = std::chrono::steady_clock;

std::vector<std::string> tune_command(const test::DiskProblem& problem, const std::string& out, bool resume) {
  std::vector<std::string> command{"tune",  problem.config(),           "--out", problem.path(out),
                                   "--set", "search.generations=400",   "--set", "checkpoint_generations=7",
                                   "--set", "search.mutation=residual", "--set", "search.start=bias"};
  if (resume) command.push_back("--resume");
  return command;
}

TEST(Kill, RandomInstantsChangeNoByte) {
  const test::DiskProblem problem;
  const auto begun = Clock::now();
  ASSERT_EQ(wait_for(start(tune_command(problem, "whole", false))), 0);
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun).count();

  std::mt19937 random(20);
  const int wanted = test::wanted_kills();
  int kills = 0, early_ends = 0;
  std::string out = "killed0";
  for (int attempt = 0; kills < wanted; ++attempt) {
    ASSERT_LT(attempt, 10 * wanted) << "the run ends too fast to be killed";
    const bool resume = std::filesystem::exists(problem / (out + "/checkpoint.bin"));
    const pid_t child = start(tune_command(problem, out, resume));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<unsigned>(duration)));
    ::kill(child, SIGKILL);
    if (const int code = wait_for(child); code == -1) {
      ++kills;
      continue;
    } else {
      ASSERT_EQ(code, 0) << "attempt " << attempt;
    }
    for (const char* name : {"/tuned.onnx", "/sensitivity.json", "/history.jsonl"}) {
      ASSERT_EQ(test::contents(problem / (out + name)), test::contents(problem / (std::string("whole") + name)))
          << name;
    }
    std::filesystem::remove_all(problem / out);
    out = "killed" + std::to_string(++early_ends);  // done: the rest of the kills hit a new run
  }
  const bool resume = std::filesystem::exists(problem / (out + "/checkpoint.bin"));
  ASSERT_EQ(wait_for(start(tune_command(problem, out, resume))), 0);
  for (const char* name : {"/tuned.onnx", "/sensitivity.json", "/history.jsonl"}) {
    EXPECT_EQ(test::contents(problem / (out + name)), test::contents(problem / (std::string("whole") + name))) << name;
  }
  std::cout << kills << " kills of a run, " << early_ends << " that came too late\n";
}

}  // namespace
}  // namespace qnudge
