// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/disk_problem.hpp"
#include "support/onnx_builder.hpp"

namespace qnudge {
namespace {

using nlohmann::json;
using test::contents;
using test::DiskProblem;
using test::json_of;
using test::run;
using test::Said;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Tune, WritesTheRunFolderAndShowsTheTable) {
  const DiskProblem disk;
  const Said said = run({"tune", disk.config()});
  ASSERT_EQ(said.code, 0) << said.err;
  for (const char* part : {"held-out protocol", "float", "nearest", "tuned", "tuned - nearest", "bytes packed"}) {
    EXPECT_THAT(said.out, HasSubstr(part));
  }
  EXPECT_THAT(said.err, HasSubstr("layer 1/2"));
  EXPECT_THAT(said.err, HasSubstr("layer 2/2"));
  EXPECT_THAT(said.err + said.out, Not(HasSubstr("\r"))) << "no redrawing outside a terminal";
  EXPECT_THAT(said.err + said.out, Not(HasSubstr("\033")));
  for (const char* file : {"config.resolved.json", "reference.bin", "sensitivity.json", "history.jsonl",
                           "progress.json", "checkpoint.bin", "tuned.onnx", "report.json"}) {
    EXPECT_TRUE(std::filesystem::exists(disk / "run" / file)) << file;
  }
  const json report = json::parse(contents(disk / "run" / "report.json"));
  EXPECT_EQ(report["results"]["float"]["test"]["value"], 1.0) << "the labels are the float model's";
  const json evaluated = json_of(run({"eval", disk.config(), "--float", "--json", "-q"}));
  EXPECT_EQ(report["results"]["float"]["test"]["cross_entropy"],
            evaluated["results"]["float"]["test"]["cross_entropy"]);
  EXPECT_EQ(report["results"]["tuned"]["test"]["n"], 60);
}

/// Every file of a folder with its bytes and the time it was written.
std::map<std::string, std::pair<std::string, std::filesystem::file_time_type>> everything_in(
    const std::filesystem::path& folder) {
  std::map<std::string, std::pair<std::string, std::filesystem::file_time_type>> all;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    all[entry.path().filename()] = {contents(entry.path()), entry.last_write_time()};
  }
  return all;
}

TEST(Sensitivity, WorksBesideARunAndLeavesItAsItIs) {
  const DiskProblem disk;
  ASSERT_EQ(run({"tune", disk.config(), "--quiet"}).code, 0);
  const auto before = everything_in(disk / "run");
  const Said same = run({"sensitivity", disk.config(), "--json", "--quiet"});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(same.out, contents(disk / "run" / "sensitivity.json")) << "the run's own ranking";
  const Said other = run({"sensitivity", disk.config(), "--set", "search.sensitivity_bits=3"});
  EXPECT_EQ(other.code, 0) << other.err;
  EXPECT_THAT(other.out, HasSubstr("One layer alone at 3 bits"));
  EXPECT_THAT(other.out, HasSubstr("not written: " + disk.path("run") + " holds a run, which stays as it is"));
  EXPECT_TRUE(everything_in(disk / "run") == before);
  EXPECT_EQ(run({"tune", disk.config(), "--quiet", "--resume"}).code, 0);
}

TEST(Tune, RefusesToOverwriteARunAndResumesIt) {
  const DiskProblem disk;
  ASSERT_EQ(run({"tune", disk.config(), "--quiet"}).code, 0);
  const std::string tuned = contents(disk / "run" / "tuned.onnx");
  const Said again = run({"tune", disk.config()});
  EXPECT_EQ(again.code, 2);
  EXPECT_THAT(again.err, HasSubstr("with --resume to go on"));
  EXPECT_THAT(again.err, HasSubstr("with --out " + disk.path("run_2") + " for a new one"));
  EXPECT_EQ(run({"tune", disk.config(), "--resume"}).code, 0);
  EXPECT_EQ(contents(disk / "run" / "tuned.onnx"), tuned);
  const Said other = run({"tune", disk.config(), "--resume", "--set", "seed=2"});
  EXPECT_EQ(other.code, 2);
}

TEST(Tune, ARespelledPathIsTheSameRun) {
  const DiskProblem disk;
  ASSERT_EQ(run({"tune", disk.config(), "--quiet"}).code, 0);
  const std::string tuned = contents(disk / "run" / "tuned.onnx");
  std::filesystem::create_directory(disk / "moved");
  for (const char* name : {"small.onnx", "train-images", "test-labels"})
    std::filesystem::rename(disk / name, disk / "moved" / name);
  const std::vector<std::string> moved = {"tune",
                                          disk.config(),
                                          "--resume",
                                          "--quiet",
                                          "--set",
                                          "model=" + disk.path("moved/small.onnx"),
                                          "data.train_images=" + disk.path("moved/../moved/train-images"),
                                          "data.test_labels=" + disk.path("moved/test-labels")};
  const Said again = run(moved);
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(contents(disk / "run" / "tuned.onnx"), tuned);
  std::string images = contents(disk / "moved/train-images");
  images.back() = static_cast<char>(images.back() ^ 1);
  std::ofstream(disk.path("moved/train-images"), std::ios::binary) << images;
  EXPECT_THAT(run(moved).err, HasSubstr("was written for another dataset"));
}

TEST(Eval, WritesWhereUnixUsersExpectIt) {
  const DiskProblem disk;
  const std::vector<std::string> eval = {"eval", disk.config(), "--float", "-q", "--limit", "5"};
  const auto with = [&](const std::string& option, const std::string& file) {
    std::vector<std::string> command = eval;
    command.insert(command.end(), {option, file});
    return run(command);
  };
  ASSERT_EQ(with("--predictions", disk.path("file")).code, 0);
  const std::string expected = contents(disk / "file");
  ASSERT_EQ(::mkfifo(disk.path("pipe").c_str(), 0600), 0);
  std::string received;
  std::thread reader([&] { received = contents(disk / "pipe"); });
  EXPECT_EQ(with("--predictions", disk.path("pipe")).code, 0);
  reader.join();
  EXPECT_EQ(received, expected);
  EXPECT_TRUE(std::filesystem::is_fifo(disk / "pipe"));
  std::ofstream(disk.path("target")) << "old";
  std::filesystem::create_symlink("target", disk / "link");
  EXPECT_EQ(with("--predictions", disk.path("link")).code, 0);
  EXPECT_EQ(contents(disk / "target"), expected);
  EXPECT_TRUE(std::filesystem::is_symlink(disk / "link"));
  EXPECT_EQ(with("--predictions", "/dev/null").code, 0);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_EQ(with("--predictions", disk.path("")).code, 2);
}

TEST(Eval, StdoutHoldsAFileThatTakesItAndNothingElse) {
  const DiskProblem disk;
  const std::string command =
      std::string(QNUDGE_BINARY) + " eval " + disk.config() + " --float -q --limit 5 --predictions ";
  ASSERT_EQ(std::system((command + disk.path("file") + " > /dev/null").c_str()), 0);
  const std::string expected = contents(disk / "file");
  for (const char* name : {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}) {
    const std::string streams = " > " + disk.path("out") + " 2> " + disk.path("err");
    ASSERT_EQ(std::system((command + name + streams).c_str()), 0);
    EXPECT_EQ(contents(disk / "out"), expected) << name;
    EXPECT_THAT(contents(disk / "err"), HasSubstr("top-1")) << "the table";
    ASSERT_EQ(std::system((command + name + " 2> /dev/null | cat > " + disk.path("piped")).c_str()), 0);
    EXPECT_EQ(contents(disk / "piped"), expected) << name;
  }
}

TEST(Tune, JsonOnStdoutIsTheReport) {
  const DiskProblem disk;
  const Said said = run({"tune", disk.config(), "--json", "--quiet"});
  EXPECT_THAT(said.err, IsEmpty());
  EXPECT_EQ(json_of(said)["seed"], 1);
  EXPECT_EQ(said.out, contents(disk / "run" / "report.json"));
}

TEST(Tune, QuietLeavesOnlyTheTable) {
  const DiskProblem disk;
  const Said said = run({"tune", disk.config(), "-q"});
  EXPECT_THAT(said.err, IsEmpty());
  EXPECT_THAT(said.out, HasSubstr("nearest"));
}

TEST(Tune, PaperProtocolIsLabelledEverywhere) {
  const DiskProblem disk;
  const Said said = run({"tune", disk.config(), "--set", "protocol=paper"});
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out.substr(0, said.out.find('\n')), HasSubstr("LEAKY"));
  EXPECT_THAT(said.err, HasSubstr("(leaky)")) << "progress too";
  EXPECT_EQ(json::parse(contents(disk / "run" / "report.json"))["leaky"], true);
  EXPECT_EQ(json_of(run({"eval", "--model", disk.path("run/tuned.onnx"), "--json"}))["leaky"], true);
}

TEST(Tune, SignalsStopItResumably) {
  const DiskProblem disk;
  const std::vector<std::string> command = {"tune",  disk.config(),         "--set", "search.generations=100000",
                                            "--set", "search.offspring=64", "--set", "stop.seconds=60"};
  std::thread interrupter([&] {
    const auto started = [&] {
      std::error_code none;
      return std::filesystem::file_size(disk / "run" / "checkpoint.bin", none) > 0 && !none;
    };
    for (int i = 0; i < 3000 && !started(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ::kill(::getpid(), SIGTERM);
  });
  const Said said = run(command);
  interrupter.join();
  EXPECT_EQ(said.code, 5) << said.err;
  EXPECT_THAT(said.err, HasSubstr("--resume"));
  EXPECT_THAT(said.err, HasSubstr("interrupted"));
  std::vector<std::string> resume = command;
  resume.back() = "stop.seconds=0.5";
  resume.push_back("--resume");
  EXPECT_EQ(json_of([&] {
              resume.push_back("--json");
              return run(resume);
            }())["stop_reason"],
            "seconds");
}

TEST(Eval, FloatAndNearestAgreeWithTheReport) {
  const DiskProblem disk;
  const json report = json_of(run({"tune", disk.config(), "--json"}));
  const json both = json_of(run({"eval", disk.config(), "--json"}));
  EXPECT_EQ(both["results"]["float"]["test"]["value"], report["results"]["float"]["test"]["value"]);
  EXPECT_EQ(both["results"]["nearest"]["test"]["value"], report["results"]["nearest"]["test"]["value"]);
  EXPECT_EQ(both["results"]["nearest"]["test"]["cross_entropy"], report["results"]["nearest"]["test"]["cross_entropy"]);
  EXPECT_FALSE(json_of(run({"eval", disk.config(), "--float", "--json"}))["results"].contains("nearest"));
  EXPECT_FALSE(json_of(run({"eval", disk.config(), "--nearest", "--json"}))["results"].contains("float"));
}

TEST(Eval, TunedModelFindsWhatTheReportPromised) {
  const DiskProblem disk;
  const json report = json_of(run({"tune", disk.config(), "--json"}));
  for (const char* backend : {"host", "reference"}) {
    const json found = json_of(run({"eval", "--model", disk.path("run/tuned.onnx"), "--backend", backend, "--json"}));
    EXPECT_EQ(found["backend"], backend);
    EXPECT_EQ(found["results"]["tuned"]["test"]["value"], report["results"]["tuned"]["test"]["value"]);
    EXPECT_EQ(found["results"]["tuned"]["test"]["cross_entropy"], report["results"]["tuned"]["test"]["cross_entropy"]);
  }
}

TEST(Eval, WritesPredictionsAndInputsForOtherRuntimes) {
  const DiskProblem disk;
  const std::string p = disk.path("p.npy"), x = disk.path("x.npy");
  const json result = json_of(
      run({"eval", disk.config(), "--float", "--predictions", p, "--save-inputs", x, "--limit", "5", "--json"}));
  EXPECT_EQ(result["results"]["float"]["test"]["n"], 5);
  const std::string predictions = contents(p), inputs = contents(x), labels = contents(disk / "test-labels");
  EXPECT_THAT(predictions, HasSubstr("'shape': (5,)"));
  EXPECT_THAT(inputs, HasSubstr("'shape': (5, 1, 6, 6,)"));
  for (std::size_t i = 0; i < 5; ++i) {
    std::int32_t predicted = 0;
    std::memcpy(&predicted, predictions.data() + predictions.size() - 20 + 4 * i, 4);
    EXPECT_EQ(predicted, labels[8 + i]) << i;
  }
  float last = 0;
  std::memcpy(&last, inputs.data() + inputs.size() - 4, 4);
  const auto pixel = static_cast<unsigned char>(contents(disk / "test-images")[16 + 5 * 36 - 1]);
  EXPECT_EQ(last, (static_cast<float>(pixel) / 255.0f - 0.5f) / 0.25f);
}

TEST(SensitivityCommand, WritesAndShowsTheOrder) {
  const DiskProblem disk;
  const Said said = run({"sensitivity", disk.config()});
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("conv"));
  EXPECT_THAT(said.out, HasSubstr("fc"));
  const Said again = run({"sensitivity", disk.config(), "--json"});
  EXPECT_EQ(json_of(again)["search_order"].size(), 2u);
  EXPECT_EQ(again.out, contents(disk / "run" / "sensitivity.json"));
}

TEST(Inspect, CountsParametersMacsAndBytes) {
  const DiskProblem disk;
  const json found = json_of(run({"inspect", disk.model().string(), "--bits", "4", "--json"}));
  ASSERT_EQ(found["layers"].size(), 2u);
  const json& conv = found["layers"][0];
  EXPECT_EQ(conv["op"], "Conv");
  EXPECT_EQ(conv["parameters"], 4 * 9 + 4);
  EXPECT_EQ(conv["macs"], 36 * 36);
  EXPECT_EQ(conv["bops"], 36 * 36 * 4 * 8);
  EXPECT_EQ(conv["packed_bytes"], 18 + 4 * 4 + 4);
  EXPECT_EQ(found["layers"][1]["op"], "Gemm");
  EXPECT_EQ(found["total"]["macs"], 36 * 36 + 12);
  EXPECT_THAT(run({"inspect", disk.model().string()}).out, HasSubstr("2 layers"));
}

TEST(Inspect, ATunedModelHasTheReportsSize) {
  const DiskProblem disk;
  const json report = json_of(run({"tune", disk.config(), "--json"}));
  const json found = json_of(run({"inspect", disk.path("run/tuned.onnx"), "--json"}));
  EXPECT_EQ(found["kind"], "qdq");
  EXPECT_EQ(found["layers"][0]["bits"], 2);
  EXPECT_EQ(found["total"]["packed_bytes"], report["size_bytes"]);
}

TEST(Inspect, NamesWhatIsUnsupportedAndWhatItFeeds) {
  const test::TemporaryFolder folder;
  test::OnnxBuilder model({1, 1, 6, 6});
  model.node("Einsum", {"x"}, "odd", "odd_node");
  model.node("Relu", {"odd"}, "y", "reader");
  model.output("y").save(folder / "odd.onnx");
  const std::string file = (folder / "odd.onnx").string();
  const Said text = run({"inspect", file});
  EXPECT_EQ(text.code, 3);
  for (const char* part : {"1 unsupported node\n", "odd_node", "Einsum", "reader"}) {
    EXPECT_THAT(text.out, HasSubstr(part));
  }
  const Said said = run({"inspect", file, "--json"});
  EXPECT_EQ(said.code, 3);
  const json found = json::parse(said.out);
  EXPECT_EQ(found["supported"], false);
  EXPECT_EQ(found["unsupported"][0]["node"], "odd_node");
  EXPECT_EQ(found["unsupported"][0]["feeds"], json({"reader"}));
}

TEST(Check, BackendsAgree) {
  const DiskProblem disk;
  const json result = json_of(run({"check", "--backends", "host,reference", disk.config(), "--images", "3", "--json"}));
  EXPECT_EQ(result["equal"], true);
  EXPECT_EQ(result["images"], 3);
  EXPECT_GT(result["bytes"], 3 * 36);
  ASSERT_EQ(run({"tune", disk.config(), "-q"}).code, 0);
  EXPECT_THAT(run({"check", "--model", disk.path("run/tuned.onnx")}).out, HasSubstr("reference, host: equal in all"));
}

TEST(Check, HalvesAgreeWithinAToleranceAndAreNamedEverywhere) {
  const DiskProblem disk;
  const std::vector<std::string> half{"--set", "recipe=paper", "--set", "quant.activations=half"};
  const auto with_half = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), half.begin(), half.end());
    return run(arguments);
  };
  const json result = json_of(with_half({"check", disk.config(), "--images", "3", "--json"}));
  EXPECT_TRUE(result["equal"]);
  EXPECT_LE(result["deviations"]["host"]["share"], result["deviations"]["host"]["tolerance"]);
  const std::string folder = disk.path("half");
  EXPECT_THAT(with_half({"tune", disk.config(), "--out", folder, "--set", "search.generations=1"}).out,
              HasSubstr("| half activations |"));
  const std::string tuned = folder + "/tuned.onnx";
  EXPECT_THAT(run({"check", "--model", tuned}).out, HasSubstr("reference and host agree: in node"));
  EXPECT_THAT(run({"inspect", tuned}).out, HasSubstr("x 16 activation bits"));
  EXPECT_EQ(with_half({"tune", disk.config(), "--out", folder + "2", "--set", "search.strategy=channel"}).code, 2);
}

TEST(Devices, NamesTheProcessorAndTheSelfTest) {
  const json result = json_of(run({"devices", "--json"}));
  EXPECT_GE(result["cores"], 1);
  EXPECT_EQ(result["backends"]["host"]["usable"], true);
  EXPECT_EQ(result["self_test"]["exact"].get<bool>(), result["self_test"]["faults"].empty());
  EXPECT_THAT(run({"devices"}).out, HasSubstr("oneDNN"));
}

TEST(Devices, TriesGraphsOrSaysWhyNot) {
  const json cuda = json_of(run({"devices", "--json"}))["cuda"];
  const Said tried = run({"devices", "--try", "--json"});
  if (cuda["usable"].get<bool>()) {
    EXPECT_FALSE(json::parse(tried.out)["graphs"].empty());
    return;
  }
  EXPECT_EQ(tried.code, 4);
  EXPECT_THAT(tried.err, HasSubstr(cuda["problem"].get<std::string>()));
}

}  // namespace
}  // namespace qnudge
