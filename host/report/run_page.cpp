// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>

#include "qnudge/report/format.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/report/run_report.hpp"
#include "run_plots.hpp"

namespace qnudge {
namespace {

using Json = HtmlPage::Json;
constexpr const char* kModels[] = {"float", "nearest", "bias", "start", "tuned"};
constexpr const char* kSets[] = {"fitness", "gate", "test"};

std::string points_range(const nlohmann::json& interval) {
  return fmt::format("{} points, 95 % interval {} to {}", points_text(interval.at("difference").get<double>()),
                     points_text(interval.at("low").get<double>()), points_text(interval.at("high").get<double>()));
}

void summary(const RunFiles& run, HtmlPage& page) {
  const nlohmann::json& r = run.report;
  const auto text = [&](const char* key) { return r.at(key).get<std::string>(); };
  page.paragraph(fmt::format("{} on {}. Recipe {}, seed {}, {} bits.",
                             std::filesystem::path(run.config.model).filename().string(),
                             r.at("data").at("test").at("description").get<std::string>(), run.config.recipe,
                             run.config.seed, run.config.quant.grid.bits));
  page.paragraph(fmt::format("qnudge {}, backend {}, {}.", text("version"), text("backend"), text("device")));
  if (r.at("leaky").get<bool>()) page.warning(kLeakyNote);
  if (r.value("float_at_chance", false)) {
    page.warning("On test images the float model is right no more often than guessing: see the notes below.");
  }
  const char* what = run.config.data.is_series() ? "F1 on test steps" : "accuracy on test images";
  page.paragraph(fmt::format("Tuned minus nearest rounding, {}: {} (paired).", what,
                             points_range(r.at("interval").at("tuned_minus_nearest"))));
  page.paragraph(fmt::format("Tuned minus the start of the search: {} (paired).",
                             points_range(r.at("interval").at("tuned_minus_start"))));
  if (r.at("gate_used").get<bool>() && !r.at("gate_kept").get<bool>()) {
    page.warning(
        "The gate discarded the search's result: it was worse than its start on images that nobody had scored "
        "on. Tuned is the start.");
  }
  const auto bytes = r.at("size_bytes").get<std::int64_t>(), before = r.at("float_size_bytes").get<std::int64_t>();
  page.paragraph(fmt::format("Size: {} bytes packed, {} bytes as fp32.", count_text(bytes), count_text(before)));
}

/// Every model on these sets, with a line of the legend for each.
void score_plot(const RunFiles& run, const std::vector<std::pair<const char*, const char*>>& sets,
                const std::string& title, const std::string& sentence, const char* axis, HtmlPage& page) {
  Json labels = Json::array(), series = Json::array();
  for (const auto& [set, name] : sets) series.push_back({{"name", name}, {"points", Json::array()}});
  for (const char* model : kModels) {
    if (!run.has(model)) continue;
    labels.push_back(model);
    for (std::size_t i = 0; i < sets.size(); ++i) {
      const FileScore score = run.score(model, sets[i].first);
      if (score.n > 0) series[i]["points"].push_back(score_point(model, score));
    }
  }
  page.plot(title, sentence,
            {{"kind", "points"},
             {"x", {{"title", "Model"}, {"labels", std::move(labels)}}},
             {"y", {{"title", axis}}},
             {"series", std::move(series)}});
}

void score_table(const RunFiles& run, const std::string& caption, HtmlPage& page) {
  std::vector<HtmlPage::Column> columns = {{"model", false}};
  for (const char* set : kSets) {
    columns.push_back({fmt::format("{} (n = {})", set, count_text(run.score("tuned", set).n))});
  }
  columns.push_back({"seconds"});
  std::vector<std::vector<std::string>> rows;
  for (const char* model : kModels) {
    if (!run.has(model)) continue;
    std::vector<std::string> row = {model};
    for (const char* set : kSets) row.push_back(score_text(run.score(model, set)));
    row.push_back(fmt::format("{:.1f}", run.report.at("results").at(model).value("seconds", 0.0)));
    rows.push_back(std::move(row));
  }
  page.table(caption, columns, rows);
}

void scores(const RunFiles& run, HtmlPage& page) {
  const std::string below =
      " of the float model, of nearest rounding, of the start and of the tuned model; the table "
      "below has the numbers.";
  if (run.config.data.is_series()) {
    page.heading("F1 and error");
    score_plot(run, {{"test", "test steps"}}, "F1 over test steps of every model", "F1" + below, "F1 (%)", page);
    score_plot(run, {{"fitness", "fitness windows"}, {"gate", "gate windows"}}, "Mean squared error of every model",
               "Reconstruction error" + below, "Mean squared error", page);
    return score_table(run,
                       "Mean squared reconstruction error on fitness and gate windows, F1 on test steps in per cent; "
                       "seconds to make the model",
                       page);
  }
  page.heading("Accuracy");
  score_plot(run, {{"fitness", "fitness images"}, {"gate", "gate images"}, {"test", "test images"}},
             "Top-1 of every model, with 95 % intervals", "Accuracy" + below, "Top-1 (%)", page);
  score_table(run, "Top-1 in per cent, with 95 % intervals (Wilson); seconds to make the model", page);
}

void time_spent(const RunFiles& run, HtmlPage& page) {
  page.heading("Time");
  Json labels = Json::array(), points = Json::array();
  const auto add = [&](const char* what, double seconds) {
    labels.push_back(what);
    points.push_back({{"x", what}, {"y", seconds}});
  };
  const nlohmann::json& results = run.report.at("results");
  const auto seconds = [&](const char* model) { return results.at(model).value("seconds", 0.0); };
  const double all = run.report.at("seconds").get<double>();
  double named = 0;
  const auto stage = [&](const char* what, double value) {
    add(what, value);
    named += value;
  };
  stage("reference, nearest", seconds("nearest"));
  if (run.has("bias")) stage("bias", seconds("bias"));
  if (run.config.search.start == "descent") stage("start", seconds("start"));
  stage("search", run.report.at("search_seconds").get<double>());
  add("evaluation, rest", std::max(0.0, all - named));
  page.plot("Wall clock by step", "Seconds that each step of the run took.",
            {{"kind", "bars"},
             {"horizontal", true},
             {"x", {{"title", "Step"}, {"labels", std::move(labels)}}},
             {"y", {{"title", "Time (s)"}}},
             {"series", Json::array({{{"name", "seconds"}, {"points", std::move(points)}}})}});
  page.paragraph(fmt::format("{} in all, {} of it search; {} candidates scored.", duration_text(all),
                             duration_text(run.report.at("search_seconds").get<double>()),
                             count_text(run.report.at("evaluations").get<std::int64_t>())));
}

}  // namespace

std::string run_page(const RunFiles& run, std::string_view library) {
  HtmlPage page(fmt::format("qnudge run: {}", std::filesystem::path(run.config.out).filename().string()));
  summary(run, page);
  scores(run, page);
  page.heading("Search, layer by layer");
  if (!run.curves.empty()) {
    page.plot(
        "Best candidate against generation, a line per layer (first to last layer: colour from one end to the other)",
        "Fitness of the best candidate by generation for every layer; the table below has start and end.",
        curves_plot(run));
    page.paragraph(curve_unit(run.config).sentence);
  }
  page.plot("Codes changed by the search", "Share of every layer's codes that the search changed, in per cent.",
            changes_plot(run));
  layer_table(run, false, page);
  page.heading("Sensitivity");
  if (!run.sensitivity.layers.empty()) {
    page.plot(sensitivity_title(run.sensitivity),
              "Layers from the least to the most sensitive; the table below has the numbers.",
              sensitivity_plot(run.sensitivity));
    sensitivity_table(run.sensitivity, page);
  } else {
    page.paragraph(
        "Not measured: with search.order \"forward\" a run needs no sensitivity. The command qnudge sensitivity, "
        "with the folder \"sensitivity\" below the run's as --out, measures it; qnudge report then shows it "
        "here.");
  }
  time_spent(run, page);
  if (!run.report.at("notes").empty()) {
    page.heading("Notes");
    for (const auto& note : run.report.at("notes")) page.paragraph(note.get<std::string>());
  }
  return page.text(library);
}

}  // namespace qnudge
