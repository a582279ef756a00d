// SPDX-License-Identifier: MIT
// Every command that can take long answers a signal within two seconds, with a sentence and exit code 5, and leaves no
// half of a file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "disk_problem.hpp"
#include "process.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::contents;
using testing::EndsWith;
using testing::HasSubstr;

/// 6x6x1 through seven convolutions of 256 channels to 3 classes: 120 million products per image, which plain loops
/// take a tenth of a second for.
Graph heavy_graph() {
  Graph graph = test::small_graph();
  std::mt19937_64 random(3);
  std::vector<Node> nodes = {graph.nodes.front()};
  for (int i = 0; i < 7; ++i) {
    FloatLayer conv;
    conv.filter = {.k = 256, .r = 3, .s = 3, .c = i == 0 ? 1 : 256};
    conv.conv.window = {.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
    for (std::int64_t w = 0; w < conv.filter.size(); ++w) {
      conv.weights.push_back((static_cast<float>(random() % 2001) / 1000.0f - 1.0f) * (i == 0 ? 1.0f : 0.04f));
    }
    conv.bias.assign(256, 0.1f);
    nodes.push_back({std::move(conv), fmt::format("conv{}", i), {static_cast<int>(nodes.size()) - 1}, {6, 6, 256}});
    nodes.push_back({test::relu_table(), fmt::format("relu{}", i), {static_cast<int>(nodes.size()) - 1}, {6, 6, 256}});
  }
  for (std::size_t i = 3; i < graph.nodes.size(); ++i) {
    Node node = graph.nodes[i];
    node.inputs = {static_cast<int>(nodes.size()) - 1};
    if (node.shape.c == 4) node.shape.c = 256;
    if (auto* const fc = std::get_if<FloatLayer>(&node.what)) {
      fc->filter.c = 256;
      fc->weights.assign(3 * 256, 0.01f);
      for (std::size_t w = 0; w < fc->weights.size(); w += 5) fc->weights[w] = -0.03f;
    }
    nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
  graph.output = static_cast<int>(graph.nodes.size()) - 1;
  return graph;
}

class StopCommands : public testing::Test {
 protected:
  static void SetUpTestSuite() { disk_ = new test::DiskProblem(heavy_graph()); }
  static void TearDownTestSuite() { delete disk_; }

  /// Sends each of the signals at another instant; what was said at the end.
  void expect_stops(const std::vector<std::string>& command, const std::string& sentence) const {
    int log = 0;
    for (const auto& [signal, after] : {std::pair(SIGINT, 0ms), {SIGHUP, 300ms}, {SIGTERM, 1200ms}}) {
      const std::string said = disk_->path(fmt::format("{}{}.log", command.front(), log++));
      const pid_t child = test::start(command, said);
      test::wait_until_caught(child, signal);
      std::this_thread::sleep_for(after);
      EXPECT_EQ(test::code_after_signal(child, signal), 5) << contents(said);
      EXPECT_THAT(contents(said), HasSubstr("qnudge: interrupted")) << after.count() << " ms";
      if (!sentence.empty()) {
        EXPECT_THAT(contents(said), EndsWith(sentence + "\n")) << after.count() << " ms";
      }
      fs::remove(said);
    }
    for (const auto& entry : fs::recursive_directory_iterator(*disk_ / "")) {
      EXPECT_NE(entry.path().extension(), ".tmp") << entry.path();
    }
  }

  static inline test::DiskProblem* disk_ = nullptr;
};

const std::string kNothingKept = "interrupted; nothing is half written, the same command begins anew";

TEST_F(StopCommands, Eval) {
  expect_stops({"eval", disk_->config(), "--nearest", "--backend", "reference", "--predictions", disk_->path("p.npy"),
                "--save-inputs", disk_->path("x.npy")},
               kNothingKept);
  EXPECT_FALSE(fs::exists(*disk_ / "p.npy"));
  EXPECT_FALSE(fs::exists(*disk_ / "x.npy"));
}

TEST_F(StopCommands, Check) {
  expect_stops({"check", disk_->config(), "--images", "60"}, kNothingKept);
}

TEST_F(StopCommands, SensitivityAndItsFolderServesAsBefore) {
  const auto command = [&](const std::string& out, const std::string& backend) {
    return std::vector<std::string>{"sensitivity", disk_->config(), "--out", disk_->path(out), "--backend", backend};
  };
  expect_stops(command("ranked", "reference"), "");
  EXPECT_FALSE(fs::exists(*disk_ / "ranked/sensitivity.json"));
  for (const char* out : {"ranked", "whole"}) ASSERT_EQ(test::wait_for(test::start(command(out, "host"))), 0);
  for (const char* name : {"sensitivity.json", "reference.bin"}) {
    EXPECT_TRUE(contents(*disk_ / "ranked" / name) == contents(*disk_ / "whole" / name)) << name;
  }
}

TEST_F(StopCommands, BenchTuning) {
  expect_stops({"bench", "tuning", disk_->config(), "--backend", "reference"}, kNothingKept);
}

TEST_F(StopCommands, BenchQuality) {
  const std::string out = disk_->path("bench");
  expect_stops({"bench", "quality", disk_->config(), "--backend", "reference", "--out", out, "--resume"},
               "interrupted; what is done is saved in " + out + ", go on with --resume");
}

TEST_F(StopCommands, ThePlanOfASweep) {
  std::ofstream(disk_->path("sweep.json")) << fmt::format(
      R"({{"base": "{}", "axes": {{"seed": [1, 2]}}, "out": "{}"}})", disk_->config(), disk_->path("sweep"));
  fs::create_directory(*disk_ / "temporary");
  ::setenv("TMPDIR", disk_->path("temporary").c_str(), 1);
  expect_stops({"sweep", disk_->path("sweep.json"), "--dry-run", "--backend", "reference"}, "");
  ::unsetenv("TMPDIR");
  EXPECT_TRUE(fs::is_empty(*disk_ / "temporary")) << "the short run that is timed";
  EXPECT_FALSE(fs::exists(*disk_ / "sweep"));
}

}  // namespace
}  // namespace qnudge
