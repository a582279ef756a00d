// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include "cli/disk_problem.hpp"
#include "qnudge/cli/backends.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/report/version.hpp"
#include "support/onnx_builder.hpp"

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

TEST(Usage, SeveralKeysMayFollowOneSet) {
  const DiskProblem disk;
  const std::string config = disk.config();
  EXPECT_THAT(run({"tune", "--help"}).out, HasSubstr("--set KEY=VALUE ..."));
  expect_refusal({"tune", config, "--set", "seed=2", "search.rate=7"}, 2, "--set search.rate: needs a number");
  expect_refusal({"tune", "--set", "seed=2", "search.rate=7", config}, 2, "--set search.rate: needs a number");
  expect_refusal({"tune", config, "--set=seed=2", "threads=1", "search.rate=7"}, 2,
                 "--set search.rate: needs a number");
  expect_refusal({"tune", config, "--set", "seed=2", "more.json"}, 2, "more.json");
  expect_refusal({"tune", config, "seed=2"}, 2, "seed=2");
  std::filesystem::copy(config, disk / "a=b.json");
  EXPECT_EQ(run({"eval", "--float", "-q", "--set", "threads=1", "data.test=9", disk.path("a=b.json")}).code, 0)
      << "a file of that name is the config";
}

TEST(Usage, HelpShowsNoMoreValuesThanAnOptionTakes) {
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"check", "--help"}, {"bench", "quality", "--help"}, {"bench", "tuning", "--help"}}) {
    std::istringstream lines(run(command).out);
    for (std::string line; std::getline(lines, line);) {
      const bool several = line.find("--backends") != line.npos || line.find("--bits") != line.npos ||
                           line.find("--layers") != line.npos || line.find("--vary") != line.npos ||
                           line.find("--seeds") != line.npos || line.find("--rungs") != line.npos;
      if (several) {
        EXPECT_EQ(line.find(" ..."), line.npos) << line;
      }
    }
  }
}

TEST(Usage, TheRunFolderIsCheckedBeforeAnythingRuns) {
  const DiskProblem disk;
  const std::string config = disk.config();
  ::unsetenv("QNUDGE_NO_SUCH");
  expect_refusal({"tune", config, "--out", "v/${QNUDGE_NO_SUCH}"}, 2, "--out: the environment variable QNUDGE_NO_SUCH");
  expect_refusal({"tune", config, "--out", "v/a${b"}, 2, "--out: needs a path where ${");
  expect_refusal({"tune", config, "--out", disk.path("a\tb")}, 2, "--out: needs text without control characters");
  EXPECT_FALSE(std::filesystem::exists("v"));
  EXPECT_FALSE(std::filesystem::exists(disk / "a\tb"));
  std::filesystem::copy(config, disk / "odd\tname.json");
  expect_refusal({"tune", disk.path("odd\tname.json"), "--set", "out="}, 2, "cannot be the name of a run folder");
  expect_refusal({"tune", config, "--resume"}, 2, "holds no run, so there is nothing to --resume");
  EXPECT_FALSE(std::filesystem::exists(disk / "run"));
  // The data cannot be read, so what is said comes before them.
  std::filesystem::resize_file(disk / "train-images", 100);
  std::ofstream(disk.path("file")) << "in the way";
  expect_refusal({"tune", config, "--out", disk.path("file/run")}, 2, "file is no folder");
  std::filesystem::create_directory(disk / "done");
  std::ofstream(disk.path("done/checkpoint.bin")) << "x";
  expect_refusal({"tune", config, "--out", disk.path("done")}, 2, "holds a run already");
}

TEST(Usage, WhatTheModelDecidesIsCheckedBeforeTheDataAreRead) {
  const DiskProblem disk;
  const std::string config = disk.config();
  std::filesystem::resize_file(disk / "train-images", 100);  // the header is whole, the images are not
  expect_refusal({"tune", config}, 3, "train-images: is cut short");
  expect_refusal({"tune", config, "--set", "search.skip=[\"nix\"]"}, 2, "search.skip: the model has no layer 'nix'");
  expect_refusal({"tune", config, "--set", "quant.layers.nix.bits=3"}, 2, "quant.layers: the model has no layer 'nix'");
  expect_refusal({"tune", config, "--set", "data.fitness=190"}, 2, "the training set has 200 images, but 190");
  expect_refusal({"tune", config, "--set", "data.test=61"}, 2, "data.test asks for 61");
  expect_refusal({"tune", config, "--set", "data.classes=4"}, 3, "data.classes");
  expect_refusal({"eval", config, "--set", "data.test=61"}, 2, "data.test asks for 61");
  expect_refusal({"check", config, "--set", "search.skip=[\"nix\"]"}, 2, "no layer 'nix'");
  expect_refusal({"eval", config, "--float", "--predictions", disk.path("no/p.npy")}, 2, "no/p.npy");
  std::ofstream(disk.path("peer.json")) << "{}";
  expect_refusal({"bench", "quality", config, "--peer", disk.path("peer.json")}, 3, "peer.json: needs rung");
  std::filesystem::remove(disk / "train-labels");
  expect_refusal({"tune", config}, 3,
                 "small.json: data.train_labels: " + disk.path("train-labels") + " does not exist");
}

TEST(Usage, AMissingFileSaysRelativeToWhat) {
  const DiskProblem disk;
  const std::string here = std::filesystem::current_path().string();
  expect_refusal({"tune", disk.config(), "--set", "data.test_images=not/here"}, 3,
                 "data.test_images: not/here does not exist; relative paths count from the current folder, " + here);
  ASSERT_EQ(run({"tune", disk.config(), "-q"}).code, 0);
  // As a run leaves it that was started in another folder.
  std::string resolved = test::contents(disk / "run/config.resolved.json");
  const std::string absolute = disk.path("test-images");
  resolved.replace(resolved.find(absolute), absolute.size(), "test-images");
  std::ofstream(disk.path("run/config.resolved.json")) << resolved;
  expect_refusal(
      {"eval", "--model", disk.path("run/tuned.onnx")}, 3,
      "config.resolved.json: data.test_images: test-images does not exist; relative paths count from the current "
      "folder, " +
          here);
}

TEST(Usage, InspectNamesItsOwnOptions) {
  const DiskProblem disk;
  test::OnnxBuilder model({-1, 3, -1, -1});
  model.floats("w", {2, 3, 1, 1}, std::vector<float>(6, 0.5f));
  model.node("Conv", {"x", "w"}, "y");
  model.output("y").save(disk / "open.onnx");
  expect_refusal({"inspect", disk.path("open.onnx")}, 3, "set --height and --width to fix them");
  EXPECT_EQ(run({"inspect", disk.path("open.onnx"), "--height", "6", "--width", "6"}).code, 0);
}

TEST(Usage, AnotherToolsQuantisedModelIsNamedForWhatItIs) {
  const DiskProblem disk;
  test::OnnxBuilder model({1, 3, 6, 6});
  model.floats("scale", {}, {0.5f});
  model.initializer("zero", {}, onnx::TensorProto::INT8).add_int32_data(0);
  model.node("QuantizeLinear", {"x", "scale", "zero"}, "q");
  model.node("DequantizeLinear", {"q", "scale", "zero"}, "y");
  model.proto.set_producer_name("onnx.quantize");
  model.output("y").save(disk / "foreign.onnx");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"inspect", disk.path("foreign.onnx")}, {"eval", disk.config(), "--model", disk.path("foreign.onnx")}}) {
    expect_refusal(command, 3, "another tool (producer \"onnx.quantize\") wrote it");
  }
  expect_refusal({"tune", disk.config(), "--set", "model=" + disk.path("foreign.onnx")}, 3,
                 "is already quantised (QDQ");
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
