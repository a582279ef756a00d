// SPDX-License-Identifier: MIT
#include <cstdlib>
#include <tuple>

#include "config/support.hpp"

namespace qnudge {
namespace {
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

/// A config that must be refused, and what the sentence must begin with and contain.
struct Bad {
  std::string extra, start, part;
};

class BadValue : public testing::TestWithParam<Bad> {};

TEST_P(BadValue, IsRefusedWithASentence) {
  const std::string message = refusal(minimal(GetParam().extra));
  EXPECT_THAT(message, StartsWith(GetParam().start)) << GetParam().extra;
  EXPECT_THAT(message, HasSubstr(GetParam().part)) << GetParam().extra;
  EXPECT_THAT(message, Not(HasSubstr("json.exception")));
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadValue,
    testing::Values(
        Bad{R"(, "quant": {"grid": {"bit": 4}})", "run.json: quant.grid.bit: unknown key", "did you mean 'bits'?"},
        Bad{R"(, "serach": {})", "run.json: serach: unknown key", "did you mean 'search'?"},
        Bad{R"(, "search": {"popluation": 1})", "run.json: search.popluation: unknown key", "known here: 'strategy'"},
        Bad{R"(, "quant": {"layers": {"c1": {"bist": 4}}})", "run.json: quant.layers.c1.bist", "'bits'"},
        Bad{R"(, "": 1)", "run.json: : unknown key", "known here"},
        Bad{R"(, "search": {"rate": "high"})", "run.json: search.rate: needs a number in 0..1", "found \"high\""},
        Bad{R"(, "search": {"rate": 1.5})", "run.json: search.rate: needs a number in 0..1", "found 1.5"},
        Bad{R"(, "search": {"rate": null})", "run.json: search.rate", "found null"},
        Bad{R"(, "search": {"rate": -0.1})", "run.json: search.rate", "found -0.1"},
        Bad{R"(, "search": {"parents": 0})", "run.json: search.parents: needs an integer in 1..65536", "found 0"},
        Bad{R"(, "search": {"offspring": 65537})", "run.json: search.offspring: needs an integer in 1..65536", "65537"},
        Bad{R"(, "search": {"generations": 1000001})", "run.json: search.generations", "1..1000000"},
        Bad{R"(, "search": {"generations": 3.0})", "run.json: search.generations", "without point or exponent"},
        Bad{R"(, "search": {"generations": 1e3})", "run.json: search.generations", "without point or exponent"},
        Bad{R"(, "search": {"parents": true})", "run.json: search.parents", "found true"},
        Bad{R"(, "search": {"gate": 1})", "run.json: search.gate: needs true or false", "found 1"},
        Bad{R"(, "search": {"strategy": "grma"})",
            "run.json: search.strategy: needs one of \"none\", \"layer\", \"channel\", \"gram\"", "found \"grma\""},
        Bad{R"(, "search": {"start": "ascent"})",
            "run.json: search.start: needs one of \"nearest\", \"bias\", \"descent\"", ""},
        Bad{R"(, "search": {"rate_end": 0.1})", "run.json: search.rate_end: strategy 'gram' keeps its rate", ""},
        Bad{R"(, "search": {"positions": 0})", "run.json: search.positions: needs an integer in 1..", "found 0"},
        Bad{R"(, "search": {"fitness": 3})", "run.json: search.fitness: needs one of \"top1\"", "found 3"},
        Bad{R"(, "search": {"skip": "x"})", "run.json: search.skip: needs a list of strings", ""},
        Bad{R"(, "search": {"skip": ["x", 3]})", "run.json: search.skip[1]: needs a string", "found 3"},
        Bad{R"(, "search": [])", "run.json: search: needs an object", "found []"},
        Bad{R"(, "search": null)", "run.json: search: needs an object", "found null"},
        Bad{R"(, "quant": {"activations": "fp8"})", "run.json: quant.activations: needs one of \"int8\", \"half\"", ""},
        Bad{R"(, "quant": {"activations": "half"})", "run.json: search.strategy: 'gram' is for int8 activations",
            "(recipe 'paper' sets 'layer')"},
        Bad{R"(, "quant": {"activations": "half"}, "search": {"strategy": "none"})",
            "run.json: search.start: 'descent' is for int8 activations", "'nearest' or 'bias'"},
        Bad{R"(, "quant": {"grid": {"bits": 1}})", "run.json: quant.grid.bits: needs an integer in 2..8", "found 1"},
        Bad{R"(, "quant": {"grid": {"bits": 9}})", "run.json: quant.grid.bits", "found 9"},
        Bad{R"(, "quant": {"layers": []})", "run.json: quant.layers: needs an object", ""},
        Bad{R"(, "quant": {"layers": {"a": 4}})", "run.json: quant.layers.a: needs an object", "found 4"},
        Bad{R"(, "quant": {"layers": {"a\u0000": {}}})", "run.json: quant.layers", "control characters"},
        Bad{R"(, "seed": -1)", "run.json: seed: needs an integer in 0..18446744073709551615", "found -1"},
        Bad{R"(, "seed": 18446744073709551616)", "run.json: seed", "without point or exponent"},
        Bad{R"(, "threads": -9223372036854775808)", "run.json: threads", "found -9223372036854775808"},
        Bad{R"(, "threads": 18446744073709551615)", "run.json: threads: needs an integer in 0..1024", ""},
        Bad{R"(, "stop": {"tolerance": 1e999})", "run.json: is not valid JSON", "1e999"},
        Bad{R"(, "stop": {"seconds": -1})", "run.json: stop.seconds", "found -1"},
        Bad{R"(, "out": 3)", "run.json: out: needs a string", "found 3"},
        Bad{R"(, "out": "a\u0000b")", "run.json: out: needs text without control characters", ""},
        Bad{R"(, "out": "a\nb")", "run.json: out: needs text without control characters", "a\\nb"},
        Bad{R"(, "out": "${")", "run.json: out: needs a path where ${", ""},
        Bad{R"(, "out": "${}")", "run.json: out: needs a path where ${", ""},
        Bad{R"(, "out": "${A-B}")", "run.json: out: needs a path where ${", ""},
        Bad{R"(, "out": "${QNUDGE_NOT_SET}/x")", "run.json: out: the environment variable QNUDGE_NOT_SET is not set",
            ""},
        Bad{R"(, "seed": 1, "seed": 2)", "run.json: seed: the key appears twice", ""},
        Bad{R"(, "quant": {"grid": {"bits": 4, "scale": "free", "bits": 4}})",
            "run.json: quant.grid.bits: the key appears", ""},
        Bad{R"(, "search": {"skip": [{"a": 1, "a": 1}]})", "run.json: search.skip.a: the key appears twice", ""}));

class BadData : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(BadData, IsRefusedWithASentence) {
  const auto& [override_, part] = GetParam();
  EXPECT_THAT(refusal(minimal(), {override_}), HasSubstr(part)) << override_;
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadData,
    testing::Values(
        std::tuple{"data.format=idx", "run.json: data.train_labels: is missing; the format idx"},
        std::tuple{
            R"(data={"format":"idx","train_images":["a","b"],"train_labels":"l","test_images":"c","test_labels":"d",)"
            R"("mean":[0],"std":[1]})",
            "--set data.train_images: needs one file for the format idx, found 2"},
        std::tuple{"data.train_labels=x", "--set data.train_labels: cifar10 files hold their labels"},
        std::tuple{"data.test_labels=x", "--set data.test_labels: cifar10 files hold their labels"},
        std::tuple{"data.std=[1,1]", "--set data.std: has 2 values where data.mean has 3"},
        std::tuple{"data.std=[1,1,0]", "--set data.std[2]: needs a number in 0.0001..1000, found 0"},
        std::tuple{"data.mean=[127,1,0]", "--set data.mean[0]: needs a number in 0..1, found 127"},
        std::tuple{"data.mean=0.5", "--set data.mean: needs a list of numbers, found 0.5"},
        std::tuple{"data.mean=[]", "--set data.mean: needs a list of numbers, found []"},
        std::tuple{"data.train_images=[]", "--set data.train_images: needs a path or a list of paths"},
        std::tuple{"data.train_images=", "--set data.train_images: needs a path or a list of paths"},
        std::tuple{"data.train_images=[3]", "--set data.train_images[0]: needs a string, found 3"},
        std::tuple{"data.train_images={}", "--set data.train_images: needs a path or a list of paths"},
        std::tuple{"data.train_images=b.bin", "b.bin is named for training too"},
        std::tuple{"data.gate=524289", "--set data.gate: needs an integer in 1..524288"},
        std::tuple{
            "data.format=IDX",
            "needs one of \"idx\", \"cifar10\", \"cifar100\", \"image_folder\", \"csv\", \"npy\", found \"IDX\""},
        std::tuple{"data.format=image_folder", "run.json: data.crop: is missing; the format image_folder"},
        std::tuple{"data.crop=32", "--set data.crop: is for the format image_folder; leave it out with cifar10"},
        std::tuple{"data.resize=32", "--set data.resize: is for the format image_folder"},
        std::tuple{"data.cache=x", "--set data.cache: is for the format image_folder"},
        std::tuple{R"(data={"format":"image_folder","train_images":"a","test_images":["b","c"],"crop":8,"mean":[0],)"
                   R"("std":[1]})",
                   "--set data.test_images: needs one folder for the format image_folder, found 2"},
        std::tuple{R"(data={"format":"image_folder","train_images":"a","test_images":"b","crop":8,"resize":7,)"
                   R"("mean":[0],"std":[1]})",
                   "--set data.resize: 7 leaves too few pixels for data.crop = 8"},
        std::tuple{R"(data={"format":"image_folder","train_images":"a","crop":8,"mean":[0],"std":[1]})",
                   "--set data.test_images: is missing; without files for it data.test_from = \"train\""},
        std::tuple{"data.test_from=train", "data.test_images: is of no use with data.test_from"},
        std::tuple{"data.test_from=training", "--set data.test_from: needs one of \"files\", \"train\""},
        std::tuple{"data.gate_from=files", "--set data.gate_from: needs one of \"train\", \"test\""},
        std::tuple{"data.series.window=4", "--set data.series: describes time series, which the format cifar10"},
        std::tuple{"search.fitness=reconstruction", "'reconstruction' does not fit the format cifar10"},
        std::tuple{"data=3", "--set data: needs an object, found 3"},
        std::tuple{"model=", "--set model: needs a path"}));

class BadSeries : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(BadSeries, IsRefusedWithASentence) {
  const std::string good =
      R"({"model": "m.onnx", "data": {"format": "csv", "train_images": "a.csv", "test_images": "b.csv",
                               "series": {"window": 4, "label_column": "label"}}})";
  ASSERT_EQ(refusal(good), "");
  const auto& [override_, part] = GetParam();
  EXPECT_THAT(refusal(good, {override_}), HasSubstr(part)) << override_;
}

INSTANTIATE_TEST_SUITE_P(
    Config, BadSeries,
    testing::Values(
        std::tuple{"data.series.window=0", "--set data.series.window: is missing; the format csv needs the rows"},
        std::tuple{"data.series.window=-1", "needs an integer in 0..65536"},
        std::tuple{"data.series.label_column=", "data.series.label_column: is missing"},
        std::tuple{"data.series.label_column=3", "needs a string, found 3"},
        std::tuple{"data.series.offset=[1]", "data.series.scale: has 0 values where data.series.offset has 1"},
        std::tuple{"data.series.scale=[0]", "needs a number in 1e-30..1e+30"},
        std::tuple{"data.series.threshold_part=1", "needs a number in 0.01..0.99"},
        std::tuple{"data.mean=[0.5]", "--set data.mean: is for images"},
        std::tuple{"data.gate_from=test", "--set data.gate_from: series take their gate from the training series"},
        std::tuple{"data.classes=3", "data.classes: a time step is normal or anomalous"},
        std::tuple{"data.train_labels=x", "csv files hold their labels"},
        std::tuple{"data.test_images=a.csv", "a.csv is named for training too"},
        std::tuple{"data.format=npy", "data.series: names columns, which npy files do not have"},
        std::tuple{"search.fitness=kl", "'kl' does not fit the format csv"}));

TEST(BadGate, NeedsTestImagesThatNothingElseUses) {
  EXPECT_EQ(refusal(minimal(), {"data.gate_from=test"}), "");
  EXPECT_THAT(refusal(minimal(), {"data.gate_from=test", "protocol=paper"}),
              HasSubstr("data.gate_from: protocol 'paper' scores candidates on the test images"));
  EXPECT_THAT(refusal(minimal(), {"data.gate_from=test", "data.test_from=train", "data.test_images=[]"}),
              HasSubstr("data.gate_from: data.test_from = \"train\" draws all sets from the same images"));
}

TEST(BadOverride, IsRefusedWithASentence) {
  const auto message = [](const std::string& assignment) { return refusal(minimal(), {assignment}); };
  for (const char* no_key : {"", "=", "=3", "seed", "search.rate"}) {
    EXPECT_THAT(message(no_key), HasSubstr("needs key=value")) << no_key;
  }
  for (const char* empty_part : {".=1", "a..b=1", ".a=1", "a.=1"}) {
    EXPECT_THAT(message(empty_part), HasSubstr("has an empty part")) << empty_part;
  }
  EXPECT_THAT(message("quant.grid.bit=3"), StartsWith("--set quant.grid.bit: unknown key; did you mean 'bits'?"));
  EXPECT_THAT(message("new.key=3"), StartsWith("--set new: unknown key"));
  EXPECT_THAT(message("model.x=3"), HasSubstr("model is not an object"));
  EXPECT_THAT(message("seed={\"a\":1,\"a\":2}"), StartsWith("--set seed: a: the key appears twice"));
  EXPECT_THAT(message("seed=1e999"), StartsWith("--set seed: needs an integer"));
  EXPECT_THAT(message("out=\xff"), HasSubstr("valid UTF-8"));
  EXPECT_THAT(message("\xff=1"), HasSubstr("valid UTF-8"));
  EXPECT_THAT(message("seed=" + std::string(1000, '[') + std::string(1000, ']')), HasSubstr("deeper than 64"));
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "a.";
  EXPECT_THAT(message(deep + "a=1"), HasSubstr("no key has more"));
  EXPECT_THAT(refusal("[]", {"seed=1"}), HasSubstr("run.json is not an object"));
}

TEST(BadJson, IsRefusedWithLineAndColumn) {
  EXPECT_THAT(refusal("{\n  \"model\": \"m\",\n  oops\n}"), StartsWith("run.json:3:3: is not valid JSON: "));
  EXPECT_THAT(refusal("{,}"), StartsWith("run.json:1:2: is not valid JSON: "));
  EXPECT_THAT(refusal(""), StartsWith("run.json:1:1: is not valid JSON: "));
  EXPECT_THAT(refusal("\n\n"), StartsWith("run.json:3:1: is not valid JSON: "));
  EXPECT_THAT(refusal(minimal() + " x"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("// comment\n" + minimal()), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("{\"seed\": NaN}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("{\"seed\": 1,}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal("\xEF\xBB\xBF" + minimal()), HasSubstr("byte order mark"));
  EXPECT_THAT(refusal("{\"model\": \"\xff\"}"),
              AllOf(HasSubstr("is not valid JSON"), HasSubstr("UTF-8"), Not(HasSubstr("\xff"))));
  EXPECT_THAT(refusal("{\"model\": \"\\ud800\"}"), HasSubstr("is not valid JSON"));
  EXPECT_THAT(refusal(std::string("{\0}", 3)), HasSubstr("is not valid JSON"));
  for (const char* other : {"3", "[]", "null", "\"text\""}) {
    EXPECT_THAT(refusal(other), StartsWith("run.json: needs a JSON object, found ")) << other;
  }
}

TEST(BadJson, DepthIsLimited) {
  for (const char* open : {"[", "{\"a\":"}) {
    std::string text;
    for (int i = 0; i < 200000; ++i) text += open;
    EXPECT_THAT(refusal(text), HasSubstr("nested deeper than 64 levels"));
  }
  EXPECT_THAT(refusal(std::string(64, '[') + std::string(64, ']')), HasSubstr("needs a JSON object"));
  EXPECT_THAT(refusal(std::string(65, '[') + std::string(65, ']')), HasSubstr("nested deeper"));
}

TEST(BadJson, LongValuesAreCutInMessages) {
  EXPECT_LT(refusal(minimal(R"(, "seed": ")" + std::string(100000, 'x') + "\"")).size(), 200u);
  EXPECT_LT(refusal(minimal(R"(, ")" + std::string(100000, 'x') + "\": 1")).size(), 400u);
  EXPECT_LT(refusal(minimal(R"(, "seed": ")" + std::string(100000, 'x'))).size(), 300u);
}

TEST(BadJson, EveryCutAndEveryFlippedByteIsAcceptedWholeOrRefused) {
  const std::string text = minimal(R"(, "quant": {"grid": {"bits": 4}, "layers": {"c": {"bits": 8}}}, "seed": 12)");
  for (std::size_t cut = 0; cut < text.size(); ++cut) EXPECT_NE(refusal(text.substr(0, cut)), "") << cut;
  int accepted = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      accepted += refusal(flipped).empty() ? 1 : 0;  // another file name or number is a valid config
    }
  }
  EXPECT_LT(accepted, 200);
}

TEST(MissingKeys, AreAllNamed) {
  EXPECT_EQ(refusal("{}"),
            "run.json: model, data.format, data.train_images are missing; configs/README.md describes every key");
  EXPECT_THAT(refusal(R"({"modle": "m"})"), HasSubstr("did you mean 'model'?"));
  EXPECT_THAT(refusal(R"({"model": "m", "dat": {}})"), HasSubstr("did you mean 'data'?"));
}

TEST(Environment, VariablesMayNotSmuggleInMore) {
  ::setenv("QNUDGE_TEST_EVIL", "${HOME}", 1);
  EXPECT_THAT(refusal(minimal(), {"out=${QNUDGE_TEST_EVIL}"}), HasSubstr("hold no ${"));
  ::setenv("QNUDGE_TEST_EVIL", "\xff", 1);
  EXPECT_THAT(refusal(minimal(), {"out=${QNUDGE_TEST_EVIL}"}), HasSubstr("valid UTF-8"));
  ::setenv("QNUDGE_TEST_EVIL", "", 1);
  EXPECT_THAT(refusal(minimal(), {"out=${QNUDGE_TEST_EVIL}"}), HasSubstr("QNUDGE_TEST_EVIL is not set"));
}

}  // namespace
}  // namespace qnudge
