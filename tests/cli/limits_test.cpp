// SPDX-License-Identifier: MIT
// Signals, and limits that a system sets: what ends the program elsewhere is a sentence here, and nothing is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <map>
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
      test::wait_until_caught(child, GetParam());
      std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<unsigned>(duration)));
      int code = test::code_after_signal(child, GetParam());
      // A signal may meet a process that has written everything and is on its way out.
      if (code == -1 && fs::exists(disk / "run/report.html")) code = 0;
      EXPECT_THAT(code, AnyOf(Eq(0), Eq(5))) << strategy << ", attempt " << attempt;
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

TEST(Limits, OutputsOfEvalAreWholeOrNotThere) {
  const test::DiskProblem disk;
  const std::vector<std::string> command{"eval",          disk.config(),      "--float",       "-q",
                                         "--predictions", disk.path("p.npy"), "--save-inputs", disk.path("x.npy")};
  ASSERT_EQ(limited(disk, "ulimit -f 4", command), 2);  // KiB: the classes fit, the inputs do not
  EXPECT_THAT(contents(disk / "said"), HasSubstr("x.npy: cannot be written: File too large"));
  EXPECT_FALSE(fs::exists(disk / "x.npy"));
  for (const auto& entry : fs::directory_iterator(disk / "")) {
    EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
  }
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

/// The small graph with wide margins around its first convolution, 192 x 192 x 256 codes, 9 MB an image, and a
/// convolution that reads them; the search keeps its inputs of all images.
Graph vast_graph() {
  const auto layer = [](std::int64_t k, std::int64_t c) {
    FloatLayer made;
    made.filter = {.k = k, .r = 1, .s = 1, .c = c};
    for (std::int64_t i = 0; i < k * c; ++i) made.weights.push_back(i % 3 == 0 ? -0.2f : 0.1f);
    made.bias.assign(static_cast<std::size_t>(k), 0.1f);
    return made;
  };
  FloatLayer wide = layer(256, 1), narrow = layer(4, 256);
  wide.conv.window = {.pad_top = 93, .pad_left = 93, .pad_bottom = 93, .pad_right = 93};
  Graph graph = test::small_graph();
  const Node fc = graph.nodes.back();
  graph.nodes = {graph.nodes.front(),
                 {wide, "wide", {0}, {192, 192, 256}},
                 {narrow, "narrow", {1}, {192, 192, 4}},
                 {FloatWindow{WindowKind::average, {.r = 192, .s = 192}}, "pool", {2}, {1, 1, 4}},
                 {FloatMove{}, "flatten", {3}, {1, 1, 4}},
                 fc};
  graph.nodes.back().inputs = {4};
  return graph;
}

TEST(Limits, ARunOfASweepThatNeedsTooMuchAddressSpaceFailsAloneAndCanBeDoneLater) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need all of the address space";
  const test::DiskProblem disk;
  export_float_onnx(vast_graph(), disk / "vast.onnx");
  fs::copy_file(disk.model(), disk / "last.onnx");
  std::ofstream(disk.path("sweep.json")) << fmt::format(
      R"({{"base": "{0}", "axes": {{"model": ["{1}", "{2}/vast.onnx", "{2}/last.onnx"]}},
"out": "{2}/sweep"}})",
      disk.config(), disk.model().string(), disk.model().parent_path().string());
  const std::vector<std::string> command{"sweep",
                                         disk.path("sweep.json"),
                                         "-q",
                                         "--threads",
                                         "1",
                                         "--set",
                                         "data.calibration=10",
                                         "data.gate=10",
                                         "data.test=10",
                                         "search.generations=1",
                                         "search.offspring=2"};
  const auto results = [&] {
    std::vector<nlohmann::json> lines;
    std::istringstream text(contents(disk / "sweep/results.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
    EXPECT_EQ(lines.size(), 3u);
    return lines;
  };
  EXPECT_EQ(limited(disk, "ulimit -v 600000", command), 4) << contents(disk / "said");
  std::map<std::string, fs::file_time_type> done;
  for (const nlohmann::json& run : results()) {
    const bool vast = run["run"].get<std::string>().find("vast") != std::string::npos;
    EXPECT_EQ(run["status"], vast ? "failed" : "done") << run;
    if (vast) {
      EXPECT_THAT(run.value("error", ""), AnyOf(HasSubstr("out of memory"), HasSubstr("address space")));
    } else {
      const fs::path tuned = disk / "sweep" / run["run"].get<std::string>() / "tuned.onnx";
      done[tuned] = fs::last_write_time(tuned);
    }
  }
  EXPECT_EQ(done.size(), 2u);
  EXPECT_EQ(limited(disk, "true", command), 0) << contents(disk / "said");
  for (const nlohmann::json& run : results()) EXPECT_EQ(run["status"], "done") << run;
  for (const auto& [tuned, written] : done) EXPECT_EQ(fs::last_write_time(tuned), written) << tuned << " is done again";
}

}  // namespace
}  // namespace qnudge
