// SPDX-License-Identifier: MIT
// Commands `bench tuning` and `bench quality` on a small problem.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/disk_problem.hpp"

namespace qnudge {
namespace {

using nlohmann::json;
using test::contents;
using test::DiskProblem;
using test::json_of;
using test::run;
using test::Said;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Bench, MeasuresEveryLayer) {
  const DiskProblem disk;
  const json result =
      json_of(run({"bench", "tuning", disk.config(), "--generations", "2", "--repeats", "2", "--scaling", "--json"}));
  ASSERT_EQ(result["layers"].size(), 2u);
  EXPECT_GT(result["candidate_images_per_second"], 0);
  EXPECT_GT(result["inference_images_per_second"], 0);
  EXPECT_GT(result["one_thread_candidate_images_per_second"], 0);
  EXPECT_GE(result["mutation_share"], 0);
  EXPECT_LE(result["mutation_share"], 1);
  EXPECT_FALSE(result.contains("graphs")) << "the host knows none";
  const json varied = json_of(run({"bench", "tuning", disk.config(), "--layers", "fc", "--generations", "1",
                                   "--repeats", "1", "--vary", "search.offspring=1,3", "--json"}))["varied"];
  ASSERT_EQ(varied.size(), 2u);
  EXPECT_EQ(varied[1]["setting"], "search.offspring=3");
  EXPECT_EQ(varied[1]["offspring"], 3);
  EXPECT_GT(varied[0]["candidate_images_per_second"], 0);
  EXPECT_EQ(run({"bench", "tuning", disk.config(), "--vary", "search.offspring"}).code, 2);
  const Said one = run({"bench", "tuning", disk.config(), "--layers", "fc", "--generations", "1", "--repeats", "1"});
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("fc"));
  EXPECT_THAT(one.out, Not(HasSubstr("\nconv")));
}

TEST(Bench, MeasuresEveryStrategyOnNoiseToo) {
  const DiskProblem disk;
  for (const char* strategy : {"layer", "channel", "gram"}) {
    const json result = json_of(run({"bench", "tuning", disk.config(), "--strategy", strategy, "--noise", "--set",
                                     "data.train_images=/nowhere", "--generations", "2", "--repeats", "1", "--json"}));
    EXPECT_EQ(result["strategy"], strategy);
    ASSERT_EQ(result["layers"].size(), 2u) << strategy;
    EXPECT_GT(result["once_seconds"], 0) << strategy;
    EXPECT_GT(result["candidate_images_per_second"], 0) << strategy;
  }
  EXPECT_EQ(
      run({"bench", "tuning", disk.config(), "--noise", "--set", "data.gate_from=test", "--generations", "1"}).code, 0);
}

std::vector<std::string> quality_bench(const DiskProblem& disk, std::vector<std::string> more) {
  std::vector<std::string> arguments = {"bench",
                                        "quality",
                                        disk.config(),
                                        "--bits",
                                        "2",
                                        "--seeds",
                                        "1,2",
                                        "--out",
                                        disk.path("ladder"),
                                        "--set",
                                        "search.generations=3",
                                        "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Bench, QualityIsWhatTuneReports) {
  const DiskProblem disk;
  const std::vector<std::string> rungs = {"--rungs", "nearest,bias,descent,paper,channel,gram,best"};
  const json ladder = json_of(run(quality_bench(disk, rungs)));
  ASSERT_EQ(ladder.size(), 7u);
  const auto tuned = [&](int seed, const std::vector<std::string>& sets) {
    std::vector<std::string> arguments = {"tune",
                                          disk.config(),
                                          "--json",
                                          "--set",
                                          "search={}",
                                          "--set",
                                          "search.generations=3",
                                          "--out",
                                          disk.path("tune"),
                                          "--set",
                                          "seed=" + std::to_string(seed)};
    for (const std::string& set : sets) arguments.insert(arguments.end(), {"--set", set});
    const json report = json_of(run(arguments));
    std::filesystem::remove_all(disk / "tune");
    return report;
  };
  const std::vector<std::pair<std::string, std::vector<std::string>>> tuned_by = {
      {"paper", {"recipe=paper"}},
      {"channel", {"recipe=channel"}},
      {"gram", {"recipe=best", "search.joint_gain=false", "search.scales=1", "search.parents=1"}},
      {"best", {"recipe=best"}}};
  for (std::size_t i = 0; i < tuned_by.size(); ++i) {
    const json& row = ladder[3 + i];
    EXPECT_EQ(row["rung"], tuned_by[i].first);
    for (int seed = 1; seed <= 2; ++seed) {
      const json report = tuned(seed, tuned_by[i].second);
      EXPECT_EQ(row["accuracy"][static_cast<std::size_t>(seed - 1)], report["results"]["tuned"]["test"]["value"])
          << tuned_by[i].first;
      EXPECT_EQ(row["evaluations"], report["evaluations"]) << tuned_by[i].first;
      if (tuned_by[i].first != "gram") continue;
      EXPECT_EQ(ladder[0]["accuracy"][static_cast<std::size_t>(seed - 1)],
                report["results"]["nearest"]["test"]["value"]);
      EXPECT_EQ(ladder[1]["accuracy"][static_cast<std::size_t>(seed - 1)], report["results"]["bias"]["test"]["value"]);
      EXPECT_EQ(ladder[2]["accuracy"][static_cast<std::size_t>(seed - 1)], report["results"]["start"]["test"]["value"]);
    }
  }
}

TEST(Bench, QualityDescendsOnlyWhereDescentIsAskedFor) {
  const DiskProblem disk;
  const json all = json_of(run(quality_bench(disk, {"--rungs", "nearest,bias,descent"})));
  EXPECT_FALSE(std::filesystem::exists(disk / "ladder/2bits_seed1_bias"));
  std::filesystem::remove_all(disk / "ladder");
  const json two = json_of(run(quality_bench(disk, {"--rungs", "nearest,bias"})));
  EXPECT_FALSE(std::filesystem::exists(disk / "ladder/2bits_seed1_descent"));
  ASSERT_EQ(two.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(two[i]["accuracy"], all[i]["accuracy"]);
}

TEST(Bench, QualityGoesOnWhereItWasAndTakesPeers) {
  const DiskProblem disk;
  const json first = json_of(run(quality_bench(disk, {"--rungs", "nearest,best"})));
  EXPECT_EQ(run(quality_bench(disk, {"--rungs", "nearest,best"})).code, 2) << "without --resume";
  json peer = {{"rung", "oracle"}, {"bits", 2}, {"seed", 1}, {"seconds", 1.5}};
  for (int i = 0; i < 60; ++i) peer["predicted"].push_back(-1);
  std::ofstream(disk / "peer.json") << peer;
  const json again =
      json_of(run(quality_bench(disk, {"--rungs", "nearest,best", "--resume", "--peer", disk.path("peer.json")})));
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again[1]["accuracy"], first[1]["accuracy"]);
  EXPECT_EQ(again[2]["rung"], "oracle");
  EXPECT_EQ(again[2]["mean"], 0.0);
  EXPECT_EQ(again[2]["seconds"], 1.5);
  peer["predicted"].erase(0);
  std::ofstream(disk / "peer.json") << peer;
  const Said refused = run(quality_bench(disk, {"--rungs", "nearest", "--resume", "--peer", disk.path("peer.json")}));
  EXPECT_EQ(refused.code, 3);
  EXPECT_THAT(refused.err, HasSubstr("peer.json: predicts 59 images; the test files hold more"));
}

}  // namespace
}  // namespace qnudge
