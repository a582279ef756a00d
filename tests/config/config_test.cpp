// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/support.hpp"
#include "qnudge/config/sweep.hpp"

namespace qnudge {
namespace {
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

Config minimal_config(const std::string& extra = "", const std::vector<std::string>& overrides = {}) {
  return parse_config(minimal(extra), "configs/run.json", overrides);
}

TEST(Config, GivesDefaultsAndFillsInWhatFollows) {
  const Config config = minimal_config();
  EXPECT_EQ(config.model, "m.onnx");
  EXPECT_EQ(config.data.train_images, std::vector<std::string>{"a.bin"});
  EXPECT_EQ(config.data.classes, 10);
  EXPECT_EQ(config.recipe, "best");
  EXPECT_EQ(config.search.strategy, "gram");
  EXPECT_EQ(config.search, SearchConfig{});
  EXPECT_EQ(config.quant, QuantConfig{});
  EXPECT_EQ(config.stop, StopConfig{});
  EXPECT_EQ(config.seed, 1u);
  EXPECT_EQ(config.out, "runs/run");
  EXPECT_EQ(minimal_config("", {"data.format=cifar100"}).data.classes, 100);
  EXPECT_EQ(minimal_config("", {"data.format=image_folder", "data.crop=224"}).data.classes, 1000);
}

TEST(Config, SeriesAreScoredByReconstructionUnlessTheConfigSaysSo) {
  const std::string text = R"({"model": "m.onnx", "recipe": "RECIPE", "data": {"format": "npy", "train_images": "a",
                               "test_images": "a", "series": {"window": 4}}})";
  for (const char* recipe : {"best", "channel", "paper"}) {
    const Config config = parse_config(std::string(text).replace(text.find("RECIPE"), 6, recipe), "run.json");
    EXPECT_EQ(config.search.fitness, "reconstruction") << recipe;
    EXPECT_EQ(config.data.classes, 2);
    const Config again = parse_config(resolved_json(config), "run.json");
    EXPECT_TRUE(again == config) << recipe;
  }
}

TEST(Config, LayersInheritTheGridWhereverItStands) {
  const Config config = minimal_config(R"(, "quant": {"layers": {"a.b": {"bits": 8}, "c": {"scale": "free"}},
                                                     "grid": {"bits": 3, "scheme": "per_channel"}})");
  EXPECT_EQ(config.quant.layers.at("a.b"), (GridConfig{8, "per_channel", "pow2", "max"}));
  EXPECT_EQ(config.quant.layers.at("c"), (GridConfig{3, "per_channel", "free", "max"}));
}

/// Every key at a value that is not its default.
std::string everything() {
  return R"({"model": "m \u00e4.onnx", "input_height": 7, "input_width": 9, "protocol": "paper", "seed": 18446744073709551615,
    "out": "o", "backend": "reference", "threads": 3, "checkpoint_generations": 11,
    "device": {"memory_mib": 2048, "images": 5, "streams": 7, "autotune": true, "graphs": false},
    "data": {"format": "cifar100", "train_images": ["a", "b"], "test_images": ["c", "d"], "classes": 20,
             "mean": [0.1, 0.2, 0.30000000000000004], "std": [0.4, 0.5, 0.6], "calibration": 1, "fitness": 2, "gate": 3,
             "test": 4},
    "quant": {"activations": "int8", "batch_norm": "fold", "rest_bits": 7,
              "grid": {"bits": 2, "scheme": "per_channel", "scale": "free", "range": "mse"},
              "layers": {"x/y.z": {"bits": 5}}},
    "recipe": "channel",
    "search": {"strategy": "layer", "order": "sensitivity", "start": "bias", "fitness": "kl", "mutation": "residual",
               "rate": 0.1, "parents": 2, "offspring": 65536, "generations": 1000000, "chunk": 8,
               "sensitivity_bits": 3, "gate": false, "skip": ["p", "q"]},
    "stop": {"rule": "budget", "tolerance": 0.5, "seconds": 1.5}})";
}

TEST(Config, ResolvedTextGivesAnEqualConfigAndIsItsOwnFixedPoint) {
  const std::string folder =
      R"({"model": "m", "data": {"format": "image_folder", "train_images": "a", "test_from": "train",
    "resize": 9, "crop": 7, "cache": "c", "mean": [0], "std": [1]}})";
  for (const std::string& text : {minimal(), everything(), folder}) {
    const Config config = parse_config(text, "run.json");
    const std::string resolved = resolved_json(config);
    const Config again = parse_config(resolved, "elsewhere/config.resolved.json");
    EXPECT_TRUE(again == config) << resolved;
    EXPECT_EQ(resolved_json(again), resolved);
    EXPECT_THAT(resolved, AllOf(StartsWith("{\n  \"backend\""), EndsWith("}\n")));
  }
}

TEST(Config, ResolvedTextHoldsEveryKey) {
  const std::string resolved = resolved_json(parse_config(everything(), "run.json"));
  for (const ConfigKey& key : config_keys()) {
    const std::string name = key.path.substr(key.path.rfind('.') + 1);
    EXPECT_THAT(resolved, HasSubstr("\"" + name + "\": ")) << key.path;
  }
}

TEST(Config, FingerprintFollowsResultsOnly) {
  const std::string base = result_fingerprint(minimal_config());
  EXPECT_EQ(base.size(), 32u);
  for (const char* same : {"out=elsewhere", "backend=reference", "threads=7", "search.chunk=5", "device.streams=9",
                           "checkpoint_generations=9", "stop.seconds=30", "recipe=best", "seed=1", "data.classes=10",
                           "model=n.onnx", "data.train_images=[\"a.bin\",\"c\"]", "data.test_images=d"}) {
    EXPECT_EQ(result_fingerprint(minimal_config("", {same})), base) << same;
  }
  for (const char* other : {"input_height=3",
                            "input_width=3",
                            "data.format=cifar100",
                            "data.classes=11",
                            "data.mean=[0.5,0.5,0.6]",
                            "data.std=[0.25,0.25,0.26]",
                            "data.calibration=5",
                            "data.fitness=5",
                            "data.gate=5",
                            "data.test=5",
                            "quant.batch_norm=fold",
                            "quant.grid.bits=5",
                            "quant.grid.scheme=per_channel",
                            "quant.grid.scale=free",
                            "quant.grid.range=mse",
                            "quant.rest_bits=7",
                            "quant.layers.n.bits=4",
                            "search.order=sensitivity",
                            "search.start=bias",
                            "search.fitness=kl",
                            "search.mutation=residual",
                            "search.rate=0.02",
                            "search.parents=31",
                            "search.offspring=31",
                            "search.generations=63",
                            "search.joint_gain=false",
                            "search.positions=9",
                            "search.damping=0.1",
                            "search.scales=8",
                            "search.gram_mib=9",
                            "recipe=paper",
                            "search.sensitivity_bits=5",
                            "search.gate=false",
                            "search.skip=[\"n\"]",
                            "stop.rule=budget",
                            "stop.tolerance=0.02",
                            "protocol=paper",
                            "seed=2"}) {
    EXPECT_NE(result_fingerprint(minimal_config("", {other})), base) << other;
  }
}

/// The message for a run folder named by --out.
std::string out_refusal(const std::string& out) {
  try {
    parse_config(resolved_json(minimal_config()), "run.json", {}, out);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

TEST(Config, OutFromTheCommandLineIsReadAsTheKeyIs) {
  ::setenv("QNUDGE_TEST_FOLDER", "some/where", 1);
  ::unsetenv("QNUDGE_NO_SUCH");
  const std::string config = resolved_json(minimal_config());
  EXPECT_EQ(parse_config(config, "run.json", {}, "${QNUDGE_TEST_FOLDER}/x").out, "some/where/x");
  EXPECT_EQ(parse_config(config, "run.json", {"out=a"}, "b").out, "b");
  EXPECT_EQ(parse_config(config, "run.json", {"out=a"}).out, "a");
  EXPECT_THAT(out_refusal("v/${QNUDGE_NO_SUCH}"),
              StartsWith("--out: the environment variable QNUDGE_NO_SUCH is not set"));
  EXPECT_THAT(out_refusal("v/a${b"), StartsWith("--out: needs a path where ${ is followed by"));
  EXPECT_THAT(out_refusal("a\tb"), StartsWith("--out: needs text without control characters"));
  EXPECT_THAT(out_refusal("a\xff"), StartsWith("--out: needs valid UTF-8"));
}

TEST(Config, ARunFolderHasANameThatTheResolvedConfigGivesBack) {
  Config config = minimal_config();
  check_run_folder_name(config);
  for (const char* bad : {"runs/a\tb", "runs/\xff", "runs/${HOME}", "runs/a${"}) {
    config.out = bad;
    EXPECT_THROW(check_run_folder_name(config), Error) << bad;
  }
}

TEST(Config, FingerprintFollowsTheActivations) {
  EXPECT_NE(result_fingerprint(minimal_config("", {"recipe=paper", "quant.activations=half"})),
            result_fingerprint(minimal_config("", {"recipe=paper"})));
}

TEST(Config, FingerprintFollowsThePreprocessingButNotItsCache) {
  const auto of = [](std::vector<std::string> more) {
    more.insert(more.begin(), {"data.format=image_folder", "data.crop=224"});
    return result_fingerprint(minimal_config("", more));
  };
  EXPECT_EQ(of({"data.cache=elsewhere"}), of({}));
  EXPECT_NE(of({"data.resize=256"}), of({}));
  EXPECT_NE(of({"data.crop=223"}), of({}));
  EXPECT_EQ(of({"data.test_labels=l"}), of({})) << "what is in a file counts, and that has a fingerprint of its own";
}

TEST(Config, RecipesGiveDefaultsThatEveryKeyOverrides) {
  const Config paper = minimal_config(R"(, "recipe": "paper", "search": {"generations": 9})");
  EXPECT_EQ(paper.search.strategy, "layer");
  EXPECT_EQ(paper.search.start, "nearest");
  EXPECT_EQ(paper.search.order, "sensitivity");
  EXPECT_EQ(paper.search.rate, 0.02);
  EXPECT_EQ(paper.search.offspring, 32);
  EXPECT_EQ(paper.search.generations, 9);
  EXPECT_EQ(minimal_config("", {"recipe=channel"}).search, recipe_search("channel"));
  EXPECT_EQ(minimal_config("", {"recipe=best"}).search, minimal_config().search);
  SearchConfig layer_on_best = recipe_search("best");
  layer_on_best.strategy = "layer";
  EXPECT_EQ(minimal_config("", {"search.strategy=layer"}).search, layer_on_best);
  EXPECT_THAT(refusal(minimal(R"(, "recipe": "pape")")), HasSubstr("run.json: recipe: needs one of"));
  EXPECT_THAT(refusal(minimal(R"(, "recipe": 3)")), HasSubstr("run.json: recipe: needs one of"));
}

TEST(Config, ABudgetBeginsWithTheLeastSensitiveUnlessToldOtherwise) {
  EXPECT_EQ(minimal_config("", {"stop.rule=budget"}).search.order, "sensitivity");
  EXPECT_EQ(minimal_config("", {"stop.rule=recovered"}).search.order, "forward");
  EXPECT_EQ(minimal_config("", {"stop.rule=budget", "search.order=forward"}).search.order, "forward");
}

TEST(Config, RecipesEqualWhoseKeysAreEqual) {
  const Config paper = minimal_config("", {"recipe=paper"});
  Config spelt_out = paper;
  spelt_out.recipe = "best";
  EXPECT_EQ(result_fingerprint(spelt_out), result_fingerprint(paper));
}

TEST(Config, OverridesAreAppliedInOrderBeforeChecking) {
  const Config config = minimal_config(R"(, "search": {"rate": 7})",
                                       {"search.rate=0.5", "search.rate=0.25", "quant.layers./b/conv.1.bits=6",
                                        "search.skip=[\"s\"]", "search.gate=false", "out=plain text=with signs"});
  EXPECT_EQ(config.search.rate, 0.25);
  EXPECT_EQ(config.quant.layers.at("/b/conv.1").bits, 6);
  EXPECT_EQ(config.search.skip, std::vector<std::string>{"s"});
  EXPECT_FALSE(config.search.gate);
  EXPECT_EQ(config.out, "plain text=with signs");
  const Config replaced = minimal_config("", {R"(search={"parents": 2})", "search.offspring=3"});
  EXPECT_EQ(replaced.search.parents, 2);
  EXPECT_EQ(replaced.search.offspring, 3);
}

TEST(Config, ExpandsEnvironmentVariablesInPaths) {
  ::setenv("QNUDGE_TEST_A", "/a", 1);
  ::setenv("QNUDGE_TEST_B", "b", 1);
  const Config config = minimal_config("", {"model=${QNUDGE_TEST_A}/x${QNUDGE_TEST_B}.onnx", "out=$x}{",
                                            "data.train_images=[\"${QNUDGE_TEST_B}\", \"p\"]"});
  EXPECT_EQ(config.model, "/a/xb.onnx");
  EXPECT_EQ(config.out, "$x}{");
  EXPECT_EQ(config.data.train_images, (std::vector<std::string>{"b", "p"}));
  EXPECT_EQ(parse_config(resolved_json(config), "r").model, "/a/xb.onnx");
}

TEST(Config, ReadsFilesAndNamesTheOnesItCannot) {
  const auto folder = std::filesystem::temp_directory_path() / "qnudge_config_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "good.json") << minimal();
  EXPECT_EQ(read_config(folder / "good.json", {"seed=3"}).seed, 3u);
  for (const auto& bad : {folder / "missing.json", folder}) {
    try {
      read_config(bad);
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      EXPECT_THAT(error.what(), StartsWith(bad.string() + ": "));
    }
  }
  std::filesystem::remove_all(folder);
}

TEST(Config, EveryShippedConfigIsAccepted) {
  ::setenv("QNUDGE_DATA", "/data", 1);
  int count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(QNUDGE_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".json" || entry.path().parent_path().filename() == "sweeps") continue;
    ++count;
    const Config config = read_config(entry.path());
    EXPECT_EQ(config.out, "runs/" + entry.path().stem().string());
    const bool leaky = entry.path().stem().string().ends_with("leaky");
    EXPECT_EQ(config.protocol, leaky ? "paper" : "held_out") << entry.path();
  }
  EXPECT_GE(count, 4);
}

TEST(Config, EveryShippedSweepIsAccepted) {
  ::setenv("QNUDGE_DATA", "/data", 1);
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(QNUDGE_SOURCE_DIR);  // bases are named from there
  for (const auto& entry : std::filesystem::directory_iterator("configs/sweeps")) {
    const SweepFile sweep = read_sweep(entry.path());
    EXPECT_EQ(sweep.out, "runs/sweep_" + entry.path().stem().string());
    EXPECT_GT(sweep_runs(sweep).size(), 1u) << entry.path();
  }
  std::filesystem::current_path(here);
}

/// The rows of one of the README's tables, as the table of keys would print them.
std::vector<std::string> documented_rows(const std::string& heading) {
  std::ifstream file(QNUDGE_SOURCE_DIR "/configs/README.md");
  std::vector<std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## " + heading;
    if (inside && line.starts_with("| `")) rows.push_back(line);
  }
  return rows;
}

TEST(Config, ReadmeDocumentsEveryKeyAndNoOther) {
  std::vector<std::string> expected;
  for (const ConfigKey& key : config_keys()) {
    EXPECT_FALSE(key.help.empty()) << key.path;
    expected.push_back(
        fmt::format("| `{}` | {} | {} | {} | {} |", key.path, key.type, key.fallback, key.range, key.help));
  }
  EXPECT_EQ(documented_rows("Keys"), expected) << "configs/README.md should read:\n"
                                               << fmt::format("{}", fmt::join(expected, "\n"));
}

TEST(Config, ReadmeShowsWhereRecipesDiffer) {
  const auto best = config_keys("best"), channel = config_keys("channel"), paper = config_keys("paper");
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < best.size(); ++i) {
    const std::string &a = best[i].fallback, &b = channel[i].fallback, &c = paper[i].fallback;
    if (a != b || a != c) expected.push_back(fmt::format("| `{}` | {} | {} | {} |", best[i].path, a, b, c));
  }
  EXPECT_EQ(documented_rows("Recipes"), expected) << "configs/README.md should read:\n"
                                                  << fmt::format("{}", fmt::join(expected, "\n"));
}

}  // namespace
}  // namespace qnudge
