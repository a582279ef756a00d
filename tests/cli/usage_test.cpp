// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include "cli/disk_problem.hpp"
#include "qnudge/cli/backends.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

using test::DiskProblem;
using test::run;
using test::Said;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const std::vector<std::string> kCommands = {"tune", "eval", "sensitivity", "inspect", "check", "devices", "bench"};

/// One sentence on stderr that begins with the program's name, nothing on stdout.
void expect_refusal(const std::vector<std::string>& arguments, int code, const std::string& part) {
  const Said said = run(arguments);
  SCOPED_TRACE(testing::PrintToString(arguments));
  EXPECT_EQ(said.code, code);
  EXPECT_THAT(said.out, IsEmpty());
  const std::size_t last_line = said.err.rfind("qnudge: ");
  ASSERT_NE(last_line, std::string::npos) << said.err;
  EXPECT_THAT(said.err.substr(last_line), HasSubstr(part));
  EXPECT_EQ(said.err.find('\n', last_line), said.err.size() - 1) << "one line: " << said.err;
}

TEST(Help, ListsEveryCommandAndExitCodes) {
  const Said said = run({"--help"});
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.err, IsEmpty());
  for (const std::string& command : kCommands) EXPECT_THAT(said.out, HasSubstr("\n  " + command + " "));
  EXPECT_THAT(said.out, HasSubstr("Examples:\n  qnudge "));
  EXPECT_THAT(said.out, HasSubstr("Exit codes"));
}

TEST(Help, EveryCommandHasADescriptionAndAnExample) {
  for (const std::string& command : kCommands) {
    const Said said = run({command, "--help"});
    SCOPED_TRACE(command);
    EXPECT_EQ(said.code, 0);
    EXPECT_THAT(said.out, HasSubstr("Usage: qnudge " + command));
    EXPECT_THAT(said.out, HasSubstr("Examples:\n  qnudge " + command));
    for (const char* option : {"--json", "--quiet", "--verbose"}) EXPECT_THAT(said.out, HasSubstr(option));
  }
}

TEST(Help, Version) {
  const Said said = run({"--version"});
  EXPECT_EQ(said.code, 0);
  EXPECT_EQ(said.out, std::string("qnudge ") + kVersion + "\n");
}

TEST(Usage, CommandLineMistakesAreOneSentence) {
  const DiskProblem disk;
  const std::string config = disk.config();
  expect_refusal({}, 2, "a command is missing");
  expect_refusal({"tun"}, 2, "'tun': unknown command; known are tune, sweep");
  expect_refusal({"--nope"}, 2, "--nope");
  expect_refusal({"tune"}, 2, "CONFIG is required; see 'qnudge tune --help'");
  expect_refusal({"tune", config, "more.json"}, 2, "more.json");
  expect_refusal({"tune", config, "--nope"}, 2, "--nope");
  expect_refusal({"tune", config, "--set"}, 2, "--set");
  expect_refusal({"tune", config, "--threads", "many"}, 2, "--threads");
  expect_refusal({"tune", config, "--threads", "-1"}, 2, "--threads");
  expect_refusal({"tune", config, "--backend", "gpu"}, 2, "--backend: gpu not in {auto,cuda,host,reference}");
  expect_refusal({"tune", config, "--quiet", "--verbose"}, 2, "excludes");
  expect_refusal({"sweep"}, 2, "CONFIG is required; see 'qnudge sweep --help'");
  expect_refusal({"sweep", config}, 2, "small.json: data: unknown key; known here: 'base', 'axes', 'exclude', 'out'");
  expect_refusal({"sweep", config, "--jobs", "0"}, 2, "--jobs");
  expect_refusal({"report"}, 2, "FOLDER is required");
  expect_refusal({"eval"}, 2, "CONFIG: missing");
  expect_refusal({"eval", config, "--model", "x", "--float"}, 2, "excludes");
  expect_refusal({"eval", config, "--predictions", disk.path("p.npy")}, 2, "choose one with --model");
  expect_refusal({"check"}, 2, "CONFIG: missing");
  expect_refusal({"check", config, "--backends", "host"}, 2, "at least two");
  expect_refusal({"check", config, "--images", "0"}, 2, "--images");
  expect_refusal({"inspect"}, 2, "MODEL is required");
  expect_refusal({"inspect", "x.onnx", "--bits", "9"}, 2, "--bits");
  expect_refusal({"bench"}, 2, "tuning or quality");
  expect_refusal({"bench", "nothing"}, 2, "nothing");
  expect_refusal({"bench", "quality"}, 2, "CONFIG is required; see 'qnudge bench quality --help'");
  expect_refusal({"bench", "quality", config, "--rungs", "bets"}, 2, "bets not in {nearest");
  expect_refusal({"bench", "quality", config, "--bits", "9"}, 2, "--bits");
  expect_refusal({"bench", "tuning", config, "--layers", "nix"}, 2, "no tunable layer is called 'nix'");
}

TEST(Usage, ConfigMistakesAreOneSentence) {
  const DiskProblem disk;
  const std::string config = disk.config();
  expect_refusal({"tune", disk.path("none.json")}, 2, "none.json");
  expect_refusal({"tune", config, "--set", "nonsense"}, 2, "nonsense");
  expect_refusal({"tune", config, "--set", "serach.rate=0.1"}, 2, "did you mean 'search'");
  expect_refusal({"tune", config, "--set", "search.rate=7"}, 2, "search.rate");
  expect_refusal({"tune", config, "--set", "search.skip=[\"nix\"]"}, 2, "nix");
  expect_refusal({"tune", config, "--set", "backend=gpu"}, 2, "backend");
  std::ofstream(disk.path("broken.json")) << "{\"model\": ";
  expect_refusal({"tune", disk.path("broken.json")}, 2, "broken.json");
}

TEST(Usage, ModelAndDataMistakesExitWithThree) {
  const DiskProblem disk;
  const std::string config = disk.config();
  expect_refusal({"tune", config, "--set", "model=" + disk.path("none.onnx")}, 3, "none.onnx");
  expect_refusal({"tune", config, "--set", "model=" + config}, 3, "small.json");
  expect_refusal({"tune", config, "--set", "data.test_images=" + disk.path("none")}, 3, "none");
  expect_refusal({"tune", config, "--set", "data.classes=4"}, 3, "classes");
  expect_refusal({"eval", config, "--model", disk.path("none.onnx")}, 3, "does not exist");
  expect_refusal({"eval", config, "--model", disk.model().string()}, 3, "is a float model");
  expect_refusal({"inspect", disk.path("none.onnx")}, 3, "none.onnx");
  expect_refusal({"inspect", config}, 3, "small.json");
  EXPECT_FALSE(std::filesystem::exists(disk / "run")) << "a refused run leaves nothing behind";
}

TEST(Usage, CudaThatCannotBeUsedExitsWithFour) {
  const auto cuda = std::find_if(backend_table().begin(), backend_table().end(),
                                 [](const BackendEntry& entry) { return std::string(entry.name) == "cuda"; });
  if (cuda->problem().empty()) GTEST_SKIP() << "there is a GPU";
  const DiskProblem disk;
  expect_refusal({"tune", disk.config(), "--backend", "cuda"}, 4, "backend 'cuda': ");
  expect_refusal({"check", disk.config(), "--backends", "reference,cuda"}, 4, "backend 'cuda': ");
}

TEST(Usage, UnwritableOutputExitsWithTwo) {
  const DiskProblem disk;
  std::ofstream(disk.path("file")) << "in the way";
  expect_refusal({"tune", disk.config(), "--out", disk.path("file/run")}, 2, "file/run");
  expect_refusal({"eval", disk.config(), "--float", "--predictions", disk.path("no/p.npy")}, 2, "no/p.npy");
}

TEST(Backends, AutoPicksTheHostAndUnknownNamesAreRefused) {
  EXPECT_EQ(make_backend("auto", {.threads = 1})->name(), "host");
  EXPECT_EQ(make_backend("reference", {.threads = 1})->name(), "reference");
  EXPECT_THROW(make_backend("gpu", {.threads = 1}), Error);
}

}  // namespace
}  // namespace qnudge
