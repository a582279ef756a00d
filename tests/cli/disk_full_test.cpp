// SPDX-License-Identifier: MIT
// A run whose disk fills up ends with one sentence and exit code 2, whatever it was writing, and goes on to the same
// bytes once there is room.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <fstream>

#include "disk_problem.hpp"
#include "process.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using test::contents;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> command(const test::DiskProblem& disk, const fs::path& out) {
  std::vector<std::string> words{
      "tune",  disk.config(),          "--out", out.string(), "-q", "--set", "checkpoint_generations=5",
      "--set", "search.generations=40"};
  if (fs::exists(out / "checkpoint.bin")) words.push_back("--resume");
  return words;
}

/// Mounts `bytes` of memory as a disk, in a place that this process alone sees. False: that is not allowed here.
bool mount_small_disk(const fs::path& place, int bytes) {
  const bool apart = ::unshare(CLONE_NEWNS) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0;
  return apart && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", place.c_str(), "tmpfs", 0, fmt::format("size={}", bytes).c_str()) == 0;
}

bool enlarge(const fs::path& place) {
  return ::mount("none", place.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0;
}

constexpr int kNotAllowed = 77;

/// In a process of its own: fills a small disk with a run, notes how that ended in `said`, then makes room, resumes and
/// copies the result to `result`. Exit code: of the second run.
int fill_and_resume(const test::DiskProblem& disk, int bytes, const fs::path& said, const fs::path& result) {
  const fs::path place = disk / "disk";
  if (!mount_small_disk(place, bytes)) return kNotAllowed;
  const int first = test::wait_for(test::start(command(disk, place / "run"), said));
  std::ofstream(said, std::ios::app) << "exit code " << first << '\n';
  if (!enlarge(place)) return kNotAllowed;
  const int second = test::wait_for(test::start(command(disk, place / "run"), result / "log"));
  for (const char* name : {"tuned.onnx", "history.jsonl", "sensitivity.json"}) {
    std::error_code unknown;
    fs::copy_file(place / "run" / name, result / name, unknown);
  }
  return second;
}

TEST(DiskFull, EndsWithASentenceAndGoesOnToTheSameBytes) {
  const test::DiskProblem disk;
  ASSERT_EQ(test::wait_for(test::start(command(disk, disk / "whole"))), 0);
  fs::create_directory(disk / "disk");
  int full = 0;
  for (int kib = 4; kib <= 96; kib += 4) {
    const fs::path said = disk / fmt::format("said{}", kib), result = disk / fmt::format("result{}", kib);
    fs::create_directory(result);
    const pid_t child = ::fork();
    if (child == 0) ::_exit(fill_and_resume(disk, kib * 1024, said, result));
    const int code = test::wait_for(child);
    if (code == kNotAllowed) GTEST_SKIP() << "this user may mount no disk, not even for itself";
    ASSERT_EQ(code, 0) << kib << " KiB: " << contents(result / "log");
    for (const char* name : {"tuned.onnx", "history.jsonl", "sensitivity.json"}) {
      EXPECT_TRUE(contents(result / name) == contents(disk / "whole" / name)) << kib << " KiB: " << name;
    }
    const std::string text = contents(said);
    if (text.ends_with("exit code 0\n")) continue;
    ++full;
    EXPECT_THAT(text, AllOf(StartsWith("qnudge: "), HasSubstr("No space left on device\nexit code 2\n"))) << kib;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2) << "one sentence: " << text;
  }
  EXPECT_GE(full, 3) << "the disks were too large";
}

}  // namespace
}  // namespace qnudge
