// SPDX-License-Identifier: MIT
#include "qnudge/config/sweep.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "config/support.hpp"
#include "qnudge/core/error.hpp"
#include "support/temporary_folder.hpp"

namespace qnudge {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// Sweep files over a minimal config, in a folder of their own.
class Sweep : public ::testing::Test {
 protected:
  Sweep() { write("run.json", minimal()); }

  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  std::string base() const { return "\"base\": \"" + (folder_ / "run.json").string() + "\""; }

  SweepFile read(const std::string& members, const std::vector<std::string>& overrides = {},
                 const std::string& out = {}) const {
    write("sweep.json", fmt::format("{{{}}}", members));
    return read_sweep(folder_ / "sweep.json", overrides, out);
  }
  std::vector<SweepRun> runs(const std::string& members) const { return sweep_runs(read(members)); }

  /// The sentence that refuses it.
  std::string said(const std::string& members, const std::vector<std::string>& overrides = {},
                   const std::string& out = {}) const {
    try {
      sweep_runs(read(members, overrides, out));
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage) << error.what();
      return error.what();
    }
    return "accepted";
  }
  std::string axes_refusal(const std::string& axes) const { return said(base() + ", \"axes\": " + axes); }

  test::TemporaryFolder folder_;
};

std::vector<std::string> names(const std::vector<SweepRun>& runs) {
  std::vector<std::string> result;
  for (const SweepRun& run : runs) result.push_back(run.name);
  return result;
}

TEST_F(Sweep, CombinesAllValuesWithSeedsFastest) {
  const auto all = runs(base() + R"(, "axes": {"seed": [7, 8], "quant.grid.bits": [5, 3]}, "out": "here")");
  EXPECT_THAT(names(all), ElementsAre("quant.grid.bits=5,seed=7", "quant.grid.bits=5,seed=8",
                                      "quant.grid.bits=3,seed=7", "quant.grid.bits=3,seed=8"));
  EXPECT_EQ(all[2].config.quant.grid.bits, 3);
  EXPECT_EQ(all[2].config.seed, 7u);
  EXPECT_EQ(all[2].config.out, "here/quant.grid.bits=3,seed=7");
}

TEST_F(Sweep, AnyKeyCanBeAnAxis) {
  const auto all = runs(base() + R"(, "axes": {"recipe": ["best", "paper"], "quant.layers./a.b/Conv.bits": [2, 8],
                                  "search.skip": [[], ["x"]], "search.gate": [true, false]})");
  ASSERT_EQ(all.size(), 16u);
  EXPECT_EQ(all[0].config.quant.layers.at("/a.b/Conv").bits, 2);
  EXPECT_EQ(all[0].config.search.strategy, "gram");
  EXPECT_EQ(all[4].config.search.strategy, "layer") << "the recipe's defaults follow the axis";
  EXPECT_THAT(all[1].config.search.skip, ElementsAre("x"));
  for (const SweepRun& run : all) EXPECT_EQ(run.name.find('/'), run.name.npos) << "a folder, not a path";
}

TEST_F(Sweep, NamesTellValuesApartThatCannotStandInAPath) {
  const auto all = runs(base() + R"(, "axes": {"model": ["a/b.onnx", "a b.onnx", "a-b.onnx"]})");
  EXPECT_EQ(std::set<std::string>({all[0].name, all[1].name, all[2].name}).size(), 3u);
  EXPECT_THAT(all[0].name, HasSubstr("model=a-b.onnx-"));
  EXPECT_EQ(all[2].name, "model=a-b.onnx");
}

TEST_F(Sweep, ExclusionsMatchInEveryKeyTheyName) {
  const auto all = runs(base() + R"(, "axes": {"quant.grid.bits": [2, 3, 4], "seed": [1, 2]},
                                  "exclude": [{"quant.grid.bits": [2, 3], "seed": 2}, {"quant.grid.bits": 4, "seed": 1}])");
  EXPECT_THAT(names(all),
              ElementsAre("quant.grid.bits=2,seed=1", "quant.grid.bits=3,seed=1", "quant.grid.bits=4,seed=2"));
}

TEST_F(Sweep, AnInlineBaseServesAsWell) {
  const auto all = runs("\"base\": " + minimal() + R"(, "axes": {"seed": [1, 2]})");
  EXPECT_EQ(all.size(), 2u);
  EXPECT_EQ(read("\"base\": " + minimal() + R"(, "axes": {"seed": [1]})").out, "runs/sweep");
  EXPECT_EQ(read("\"base\": " + minimal() + R"(, "axes": {"seed": [1]}, "out": "here")", {}, "there").out, "there");
  EXPECT_THAT(said("\"base\": " + minimal() + R"(, "axes": {"seed": [1]})", {}, "a\tb"),
              HasSubstr("--out: needs text"));
}

TEST_F(Sweep, OverridesGoIntoTheBase) {
  const SweepFile sweep = read(base() + R"(, "axes": {"seed": [1]})", {"search.generations=9"});
  EXPECT_EQ(sweep_runs(sweep).front().config.search.generations, 9);
  const std::string axes = R"(, "axes": {"seed": [1]})";
  EXPECT_THAT(said(base() + axes, {"seed=4"}), AllOf(HasSubstr("--set seed"), HasSubstr("is an axis")));
  EXPECT_THAT(said(base() + axes, {"search.rate=4"}), HasSubstr("--set search.rate: needs a number in 0..1"));
}

TEST_F(Sweep, TheFilesOwnMistakesAreOneSentence) {
  EXPECT_THAT(said(""), HasSubstr("base, axes are missing"));
  EXPECT_THAT(said(base()), HasSubstr("axes is missing"));
  EXPECT_THAT(said(base() + R"(, "axis": {"seed": [1]})"), HasSubstr("axis: unknown key; did you mean 'axes'?"));
  EXPECT_THAT(said(R"("base": 3, "axes": {"seed": [1]})"), HasSubstr("base: needs the path of a config or a config"));
  EXPECT_THAT(said(R"("base": "none.json", "axes": {"seed": [1]})"), HasSubstr("none.json"));
  EXPECT_THAT(said(R"("base": "${QNUDGE_NO_SUCH}/x", "axes": {"seed": [1]})"), HasSubstr("QNUDGE_NO_SUCH"));
  EXPECT_THAT(said(R"("base": {}, "axes": {"seed": [1]})"), HasSubstr("sweep.json: base: model, data.format"));
  EXPECT_THAT(said(base() + R"(, "axes": {"seed": [1]}, "axes": {})"), HasSubstr("the key appears twice"));
}

TEST_F(Sweep, BadAxesAreOneSentence) {
  EXPECT_THAT(axes_refusal("{}"), HasSubstr("needs an object of lists"));
  EXPECT_THAT(axes_refusal("[1]"), HasSubstr("needs an object of lists"));
  EXPECT_THAT(axes_refusal(R"({"bits": [3]})"),
              HasSubstr("'bits' is not a key of the config; did you mean 'quant.grid.bits'?"));
  EXPECT_THAT(axes_refusal(R"({"serach.rate": [0.1]})"), HasSubstr("did you mean 'search.rate'?"));
  EXPECT_THAT(axes_refusal(R"({"quant.grid": [{}]})"), HasSubstr("is not a key"));
  EXPECT_THAT(axes_refusal(R"({"quant.layers.x.size": [2]})"), HasSubstr("is not a key"));
  EXPECT_THAT(axes_refusal(R"({"quant.layers..bits": [2]})"), HasSubstr("is not a key"));
  EXPECT_THAT(axes_refusal(R"({"out": ["a", "b"]})"), HasSubstr("a folder of its own"));
  EXPECT_THAT(axes_refusal(R"({"seed": []})"), HasSubstr("seed: the list is empty"));
  EXPECT_THAT(axes_refusal(R"({"seed": 3})"), HasSubstr("seed: needs a list of values, found 3"));
  EXPECT_THAT(axes_refusal(R"({"search.rate": [0.5, 0.1, 0.50]})"), HasSubstr("the value 0.5 appears twice"));
  EXPECT_THAT(axes_refusal(R"({"seed": [1, 1.0]})"), HasSubstr("appears twice"));
  EXPECT_THAT(axes_refusal(R"({"quant.grid.bits": [4, 9]})"),
              HasSubstr("sweep.json: axes: quant.grid.bits: needs an integer in 2..8, found 9"));
  EXPECT_THAT(axes_refusal(R"({"quant.grid.bits": ["4"]})"), HasSubstr("found \"4\""));
  EXPECT_THAT(axes_refusal(R"({"threads": [1, 2]})"), HasSubstr("threads=1 and threads=2 would give the same result"));
}

TEST_F(Sweep, BadExclusionsAreOneSentence) {
  const auto with = [&](const std::string& exclude) {
    return said(base() + R"(, "axes": {"seed": [1, 2]}, "exclude": )" + exclude);
  };
  EXPECT_THAT(with("{}"), HasSubstr("exclude: needs a list"));
  EXPECT_THAT(with("[{}]"), HasSubstr("exclude[0]: needs an object"));
  EXPECT_THAT(with(R"([{"sede": 1}])"), HasSubstr("'sede' is no axis; did you mean 'seed'?"));
  EXPECT_THAT(with(R"([{"seed": 3}])"), HasSubstr("3 is not among the axis's values"));
  EXPECT_THAT(with(R"([{"seed": []}])"), HasSubstr("the list is empty"));
  EXPECT_THAT(with(R"([{"seed": [1, 2]}])"), HasSubstr("leaves no run"));
}

TEST_F(Sweep, TooManyCombinationsAreCountedNotDrawnUp) {
  std::string list = "0";
  for (int i = 1; i < 1001; ++i) list.append(",").append(std::to_string(i));
  const std::string axes = R"({"seed": [)" + list + R"(], "search.generations": [1,2], "data.test": [)" + list + "]}";
  EXPECT_THAT(axes_refusal(axes), HasSubstr("more than 1000000 combinations"));
  std::string thousand = R"({"seed": [)" + list + "]}";
  EXPECT_EQ(read(base() + ", \"axes\": " + thousand).combinations, 1001u);
}

}  // namespace
}  // namespace qnudge
