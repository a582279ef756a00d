// SPDX-License-Identifier: MIT
#include "qnudge/report/run_report.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "qnudge/core/error.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

using Labels = std::vector<std::int32_t>;

/// Predictions for labels 0: right where `right` has a '1'.
Labels answers(const std::string& right) {
  Labels predicted;
  for (const char c : right) predicted.push_back(c == '1' ? 0 : 1);
  return predicted;
}

Evaluation evaluation(const std::string& right) {
  Evaluation e;
  e.predicted = answers(right);
  e.cross_entropy = kQ16One * static_cast<std::int64_t>(right.size()) / 2;  // half a nat per image
  e.kl = kQ16One * static_cast<std::int64_t>(right.size()) / 4;
  return e;
}

/// Four fitness, two gate and eight test images, all of class 0.
TuneResult sample_result() {
  TuneResult r;
  r.splits = {.calibration = {0}, .fitness = {0, 1, 2, 3}, .gate = {4, 5}, .test = {0, 1, 2, 3, 4, 5, 6, 7}};
  r.fitness_labels = Labels(4, 0);
  r.gate_labels = Labels(2, 0);
  r.test_labels = Labels(8, 0);
  r.float_fitness = {.logits = {1}, .predicted = answers("1111"), .correct = 4};
  r.float_gate = {.logits = {1}, .predicted = answers("11"), .correct = 2};
  r.float_test = {.logits = {}, .predicted = answers("11111111"), .correct = 8};
  r.float_test.cross_entropy = kQ16One * 2;
  r.nearest = {evaluation("1000"), evaluation("10"), evaluation("11110000")};
  r.start = {evaluation("1100"), evaluation("10"), evaluation("11110100")};
  r.tuned = {evaluation("1111"), evaluation("11"), evaluation("11101110")};
  r.layers = {{.name = "conv1",
               .layer = 0,
               .sensitivity = -1,
               .start_fitness = 2,
               .best_fitness = 4,
               .generations = 5,
               .changed_codes = 9,
               .bits = 4}};
  r.stop_reason = "done";
  r.evaluations = 100;
  r.candidate_images = 400;
  r.seconds = 3;
  r.search_seconds = 2;
  r.size_bytes = 10;
  r.notes = {"a note"};
  r.network.layers.resize(1);
  r.network.layers[0].filter = {.k = 2, .r = 3, .s = 3, .c = 1};
  return r;
}

ReportContext context(const std::string& protocol = "held_out") {
  return {.config_file = "c.json",
          .folder = "runs/c",
          .protocol = protocol,
          .seed = 7,
          .backend = "host",
          .device = "a processor",
          .model = "m.onnx",
          .model_fingerprint = "abc",
          .train_data = "training images",
          .train_fingerprint = "t1",
          .test_data = "test images",
          .test_fingerprint = "t2"};
}

TEST(RunReport, JsonHasEveryKeyOfTheDesign) {
  const json j = json::parse(report_json(make_run_report(sample_result(), context(), true)));
  EXPECT_EQ(j["version"], kVersion);
  EXPECT_EQ(j["protocol"], "held_out");
  EXPECT_EQ(j["leaky"], false);
  EXPECT_EQ(j["backend"], "host");
  EXPECT_EQ(j["device"], "a processor");
  EXPECT_FALSE(j.contains("graphs")) << "no graphs, nothing to say about them";
  EXPECT_EQ(j["seed"], 7);
  EXPECT_EQ(j["seconds"], 3.0);
  EXPECT_EQ(j["evaluations"], 100);
  EXPECT_EQ(j["candidate_images_per_second"], 200.0);
  EXPECT_EQ(j["size_bytes"], 10);
  EXPECT_EQ(j["float_size_bytes"], (2 * 9 + 2) * 4);
  for (const char* model : {"float", "nearest", "start", "tuned"}) {
    for (const char* set : {"fitness", "gate", "test"}) {
      const json& score = j["results"][model][set];
      EXPECT_EQ(score["metric"], "top1") << model << set;
      EXPECT_TRUE(score["value"].is_number()) << model << set;
      EXPECT_TRUE(score["n"].is_number_integer()) << model << set;
    }
  }
  EXPECT_FALSE(j["results"].contains("bias"));
  EXPECT_EQ(j["results"]["nearest"]["test"]["value"], 0.5);
  EXPECT_EQ(j["results"]["nearest"]["test"]["cross_entropy"], 0.5);
  EXPECT_EQ(j["results"]["nearest"]["gate"]["kl"], 0.25);
  EXPECT_FALSE(j["results"]["nearest"]["test"].contains("kl")) << "there are no float logits of the test set";
  EXPECT_EQ(j["results"]["float"]["test"]["cross_entropy"], 0.25);
  EXPECT_EQ(j["interval"]["tuned_minus_nearest"]["gained"], 3);
  EXPECT_EQ(j["interval"]["tuned_minus_nearest"]["lost"], 1);
  EXPECT_EQ(j["interval"]["tuned_minus_nearest"]["difference"], 0.25);
  EXPECT_LT(j["interval"]["tuned_minus_nearest"]["low"], 0.25);
  EXPECT_GT(j["interval"]["tuned_minus_nearest"]["high"], 0.25);
  EXPECT_EQ(j["interval"]["tuned_minus_start"]["difference"], 0.125);
  EXPECT_EQ(j["recovered"]["tuned"], 0.5);
  EXPECT_EQ(j["recovered"]["start"], 0.25);
  EXPECT_EQ(j["layers"][0]["name"], "conv1");
  EXPECT_TRUE(j["layers"][0]["sensitivity"].is_null());
  EXPECT_EQ(j["stop_reason"], "done");
  EXPECT_EQ(j["gate_kept"], true);
  EXPECT_EQ(j["notes"], json({"a note"}));
  EXPECT_EQ(j["model"]["path"], "m.onnx");
  EXPECT_EQ(j["data"]["test"]["fingerprint"], "t2");
}

TEST(RunReport, JsonSaysWhetherGenerationsRanAsOneGraphAndWhyNot) {
  ReportContext with_graphs = context();
  with_graphs.graphs = GraphUsage{
      .one_launch = 3, .one_by_one = 1, .nodes = {{"kernel", 31}, {"loop", 2}}, .depth = 2, .reasons = {"refused"}};
  const json j = json::parse(report_json(make_run_report(sample_result(), with_graphs, true)));
  EXPECT_EQ(j["graphs"], json::parse(R"({"one_launch": 3, "one_by_one": 1, "nodes": {"kernel": 31, "loop": 2},
                                         "depth": 2, "reasons": ["refused"]})"));
}

TEST(RunReport, TextShowsEveryNumber) {
  const std::string text = report_text(make_run_report(sample_result(), context(), true));
  for (const char* part : {"held-out protocol",
                           "seed 7",
                           "a processor",
                           "fitness (n = 4)",
                           "gate (n = 2)",
                           "test (n = 8)",
                           "float",
                           "nearest",
                           "start",
                           "tuned",
                           "100.00 %",
                           "50.00 %",
                           "75.00 %",
                           "+25.00 points on test",
                           "+12.50 points",
                           "3 gained, 1 lost",
                           "50.0 % of the accuracy that nearest rounding lost on test, the start alone 25.0 %",
                           "kept the search",
                           "100 candidate evaluations",
                           "200 candidate-images/s",
                           "10 bytes packed, 80 bytes as fp32 (8.0 times smaller)",
                           "a note"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("LEAKY")));
  EXPECT_THAT(text, Not(HasSubstr("bias")));
  EXPECT_THAT(text, Not(HasSubstr("\033"))) << "no colours";
}

TEST(RunReport, BiasIsShownWhereItWasEvaluated) {
  TuneResult result = sample_result();
  result.bias = result.start;
  const RunReport report = make_run_report(result, context(), true);
  EXPECT_TRUE(json::parse(report_json(report))["results"].contains("bias"));
  EXPECT_THAT(report_text(report), HasSubstr("\nbias "));
}

TEST(RunReport, PaperProtocolIsLeakyEverywhereAndShowsTheHeldBackPart) {
  TuneResult result = sample_result();
  result.splits.fitness_from_test = true;
  result.splits.fitness = {1, 3, 5, 7};  // held back: 0, 2, 4, 6
  const RunReport report = make_run_report(result, context("paper"), true);
  const std::string text = report_text(report);
  EXPECT_THAT(text.substr(0, text.find('\n')), HasSubstr("LEAKY"));
  EXPECT_THAT(text, HasSubstr("test (n = 8, LEAKY)"));
  EXPECT_THAT(text, HasSubstr("fitness (n = 4, of test)"));
  EXPECT_THAT(text, HasSubstr("test held back (n = 4)"));
  const json j = json::parse(report_json(report));
  EXPECT_EQ(j["leaky"], true);
  EXPECT_THAT(j["notes"][0].get<std::string>(), HasSubstr("LEAKY"));
  // tuned is right on test images 0 1 2 4 5 6, nearest on 0 1 2 3
  EXPECT_EQ(j["results"]["tuned"]["test_held_back"]["value"], 1.0);
  EXPECT_EQ(j["results"]["nearest"]["test_held_back"]["value"], 0.5);
  EXPECT_EQ(j["results"]["nearest"]["test_held_back"]["n"], 4);
  EXPECT_EQ(j["interval"]["test_held_back"]["tuned_minus_nearest"]["gained"], 2);
  EXPECT_EQ(j["interval"]["test_held_back"]["tuned_minus_nearest"]["lost"], 0);
  EXPECT_EQ(j["recovered_held_back"]["tuned"], 1.0);
}

TEST(RunReport, PaperProtocolWithNothingHeldBackSaysSo) {
  TuneResult result = sample_result();
  result.splits.fitness_from_test = true;
  result.splits.fitness = result.splits.test;
  result.fitness_labels = Labels(8, 0);
  result.float_fitness.predicted = result.float_test.predicted;
  for (ModelScores* scores : {&result.nearest, &result.start, &result.tuned}) scores->fitness = scores->test;
  const RunReport report = make_run_report(result, context("paper"), true);
  EXPECT_FALSE(json::parse(report_json(report))["results"]["tuned"].contains("test_held_back"));
  EXPECT_THAT(report_text(report), HasSubstr("No test image was held back"));
}

TEST(RunReport, NothingToRecoverAndGateVerdict) {
  TuneResult result = sample_result();
  result.nearest.test = evaluation("11111111");
  result.gate_kept = false;
  const RunReport report = make_run_report(result, context(), true);
  EXPECT_TRUE(json::parse(report_json(report))["recovered"].is_null());
  EXPECT_THAT(report_text(report), HasSubstr("nothing to recover"));
  EXPECT_THAT(report_text(report), HasSubstr("discarded the search's result"));
  EXPECT_THAT(report_text(make_run_report(result, context(), false)), Not(HasSubstr("discarded")));
}

TEST(RunReport, SharesBeyondTheLossAreToldInPoints) {
  TuneResult result = sample_result();
  result.nearest.test = evaluation("11111110");
  const auto text = [&] { return report_text(make_run_report(result, context(), true)); };
  EXPECT_THAT(text(),
              HasSubstr("recovered       nothing of the accuracy that nearest rounding lost on test (12.50 points): "
                        "tuned is another 12.50 points below\n"));
  result.tuned.test = evaluation("00000001");
  EXPECT_THAT(text(), HasSubstr("tuned is another 75.00 points below"));
  EXPECT_THAT(text(), Not(HasSubstr("-600")));
  result = sample_result();
  result.float_test.predicted = answers("11111000");
  result.tuned.test = evaluation("11111110");
  EXPECT_THAT(text(),
              HasSubstr("recovered       all of the accuracy that nearest rounding lost on test (12.50 points), and "
                        "25.00 points more than float\n"));
}

TEST(RunReport, AModelThatGuessesIsMarkedAndNothingIsRecovered) {
  TuneResult result = sample_result();
  EXPECT_EQ(json::parse(report_json(make_run_report(result, context(), true)))["float_at_chance"], false);
  result.float_at_chance = true;
  const RunReport report = make_run_report(result, context(), true);
  EXPECT_THAT(report_text(report), HasSubstr("\nfloat (only guesses, see note) "));
  EXPECT_THAT(report_text(report), HasSubstr("recovered       not told: the float model itself only guesses\n"));
  const json j = json::parse(report_json(report));
  EXPECT_TRUE(j["recovered"].is_null());
  EXPECT_EQ(j["float_at_chance"], true);
}

TEST(RunReport, RefusesPredictionsThatDoNotFitTheLabels) {
  TuneResult result = sample_result();
  result.tuned.gate.predicted.pop_back();
  EXPECT_THROW(make_run_report(result, context(), true), Error);
}

TEST(RunReport, HostileNamesStayValidJson) {
  TuneResult result = sample_result();
  result.layers[0].name = "bad \xff \"name\"\n";
  EXPECT_TRUE(json::accept(report_json(make_run_report(result, context(), true))));
}

}  // namespace
}  // namespace qnudge
