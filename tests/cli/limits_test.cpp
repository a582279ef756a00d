// SPDX-License-Identifier: MIT
// Signals, and limits that a system sets: what ends the program elsewhere is a sentence here, and nothing is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "disk_problem.hpp"
#include "process.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using test::contents;
using testing::AnyOf;
using testing::Eq;
using testing::HasSubstr;

constexpr auto kAllowed = std::chrono::seconds(10);  // two, and what a busy machine adds

std::vector<std::string> tune_command(const test::DiskProblem& disk, const std::string& out, bool resume,
                                      const std::string& strategy) {
  std::vector<std::string> command{"tune",
                                   disk.config(),
                                   "-q",
                                   "--out",
                                   disk.path(out),
                                   "--set",
                                   "search.generations=2000",
                                   "--set",
                                   "search.strategy=" + strategy,
                                   "--set",
                                   "search.start=descent"};
  if (resume) command.push_back("--resume");
  return command;
}

void expect_same(const fs::path& run, const fs::path& whole) {
  for (const char* name : {"tuned.onnx", "sensitivity.json", "history.jsonl", "reference.bin"}) {
    EXPECT_TRUE(contents(run / name) == contents(whole / name)) << run / name;
  }
}

/// Waits until the child has a handler for `signal`, or has ended.
void wait_until_caught(pid_t child, int signal) {
  for (int i = 0; i < 5000; ++i) {
    std::ifstream status(fmt::format("/proc/{}/status", child));
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("State:") && line.find('Z') != std::string::npos) return;
      if (line.starts_with("SigCgt:") && (std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1) != 0) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ADD_FAILURE() << "signal " << signal << " has no handler";
}

class Signals : public testing::TestWithParam<int> {};

TEST_P(Signals, StopARunAtAnyInstantAndLoseNothing) {
  for (const std::string strategy : {"layer", "gram"}) {
    const test::DiskProblem disk;
    const auto begun = Clock::now();
    ASSERT_EQ(test::wait_for(test::start(tune_command(disk, "whole", false, strategy))), 0);
    const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begun).count();
    std::mt19937 random(static_cast<unsigned>(GetParam()));
    int stops = 0;
    for (int attempt = 0; attempt < 12; ++attempt) {
      const bool resume = fs::exists(disk / "run/checkpoint.bin");
      const pid_t child = test::start(tune_command(disk, "run", resume, strategy));
      wait_until_caught(child, GetParam());
      std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<unsigned>(duration)));
      ::kill(child, GetParam());
      const auto asked = Clock::now();
      int code = test::wait_for(child);
      // A signal may meet a process that has written everything and is on its way out.
      if (code == -1 && fs::exists(disk / "run/report.html")) code = 0;
      EXPECT_THAT(code, AnyOf(Eq(0), Eq(5))) << strategy << ", attempt " << attempt;
      EXPECT_LT(Clock::now() - asked, kAllowed);
      stops += code == 5;
      if (code == 0) {
        expect_same(disk / "run", disk / "whole");
        fs::remove_all(disk / "run");
      }
    }
    EXPECT_GT(stops, 0);
    const bool resume = fs::exists(disk / "run/checkpoint.bin");
    ASSERT_EQ(test::wait_for(test::start(tune_command(disk, "run", resume, strategy))), 0);
    expect_same(disk / "run", disk / "whole");
  }
}

INSTANTIATE_TEST_SUITE_P(All, Signals, testing::Values(SIGINT, SIGTERM, SIGHUP));

TEST(Signals, NohupIsHonoured) {
  const test::DiskProblem disk;
  ::signal(SIGHUP, SIG_IGN);  // is inherited
  const pid_t child = test::start(tune_command(disk, "run", false, "layer"));
  ::signal(SIGHUP, SIG_DFL);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ::kill(child, SIGHUP);
  EXPECT_EQ(test::wait_for(child), 0);
}

/// Exit code of `command` under a shell's limit, -1 if a signal ended it; what it said is in the file "said".
int limited(const test::DiskProblem& disk, const std::string& limit, const std::vector<std::string>& command) {
  std::string script = limit + "; exec '" QNUDGE_BINARY "'";
  for (const std::string& argument : command) script += " '" + argument + "'";
  std::ofstream(disk / "limited.sh") << script << fmt::format(" 2>'{}' >/dev/null\n", disk.path("said"));
  const int status = std::system(fmt::format("bash '{}'", disk.path("limited.sh")).c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) < 128 ? WEXITSTATUS(status) : -1;
}

TEST(Limits, AFileThatGrowsTooLargeIsASentence) {
  const test::DiskProblem disk;
  ASSERT_EQ(test::wait_for(test::start(tune_command(disk, "whole", false, "layer"))), 0);
  for (const int blocks : {1, 4, 16, 64, 128}) {  // of 1,024 bytes
    const bool resume = fs::exists(disk / "run/checkpoint.bin");
    EXPECT_EQ(limited(disk, fmt::format("ulimit -f {}", blocks), tune_command(disk, "run", resume, "layer")), 2);
    EXPECT_THAT(contents(disk / "said"), HasSubstr("cannot be written: File too large")) << blocks;
  }
  const bool resume = fs::exists(disk / "run/checkpoint.bin");
  ASSERT_EQ(test::wait_for(test::start(tune_command(disk, "run", resume, "layer"))), 0);
  expect_same(disk / "run", disk / "whole");
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // which map terabytes
#else
constexpr bool kSanitized = false;
#endif

TEST(Limits, TooLittleAddressSpaceIsASentence) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need all of the address space";
  const test::DiskProblem disk;
  int refused = 0, done = 0;
  for (const int threads : {1, 2, 8}) {
    for (int mib = 120; mib <= 720; mib += 100) {
      fs::remove_all(disk / "run");
      const int code = limited(disk, fmt::format("ulimit -v {}", mib * 1024),
                               {"tune", disk.config(), "-q", "--out", disk.path("run"), "--threads",
                                std::to_string(threads), "--set", "search.start=descent"});
      const std::string said = contents(disk / "said");
      if (said.find("shared librar") != std::string::npos) continue;  // the program did not even begin
      EXPECT_THAT(code, AnyOf(Eq(0), Eq(4))) << mib << " MiB, " << threads << " threads: " << said;
      if (code == 4) {
        EXPECT_THAT(said, AnyOf(HasSubstr("out of memory"), HasSubstr("no more threads")));
      }
      refused += code == 4;
      done += code == 0;
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(done, 0);
}

}  // namespace
}  // namespace qnudge
