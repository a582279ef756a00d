// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>

#include "qnudge/report/format.hpp"
#include "qnudge/report/interval.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/report/run_report.hpp"
#include "run_plots.hpp"

namespace qnudge {
namespace {

using Json = HtmlPage::Json;
constexpr const char* kModels[] = {"float", "nearest", "bias", "start", "tuned"};

std::string points_range(const nlohmann::json& interval) {
  return fmt::format("{} points, 95 % interval {} to {}", points_text(interval.at("difference").get<double>()),
                     points_text(interval.at("low").get<double>()), points_text(interval.at("high").get<double>()));
}

std::string score_text(const FileScore& score) {
  if (score.n == 0) return "-";
  const ShareInterval range = share_interval(score.value, score.n);
  return fmt::format("{:.2f} ({:.2f} to {:.2f})", 100 * score.value, 100 * range.low, 100 * range.high);
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
  page.paragraph(fmt::format("Tuned minus nearest rounding on test images: {} (paired).",
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

void accuracies(const RunFiles& run, HtmlPage& page) {
  Json labels = Json::array(), series = Json::array();
  std::vector<std::vector<std::string>> rows;
  for (const char* set : {"fitness", "gate", "test"}) {
    series.push_back({{"name", fmt::format("{} images", set)}, {"points", Json::array()}});
  }
  for (const char* model : kModels) {
    if (!run.has(model)) continue;
    labels.push_back(model);
    rows.push_back({model});
    std::size_t i = 0;
    for (const char* set : {"fitness", "gate", "test"}) {
      const FileScore score = run.score(model, set);
      rows.back().push_back(score_text(score));
      Json& points = series[i++]["points"];
      if (score.n == 0) continue;
      const ShareInterval range = share_interval(score.value, score.n);
      points.push_back({{"x", model}, {"y", 100 * score.value}, {"low", 100 * range.low}, {"high", 100 * range.high}});
    }
    rows.back().push_back(fmt::format("{:.1f}", run.report.at("results").at(model).value("seconds", 0.0)));
  }
  page.heading("Accuracy");
  page.plot(
      "Top-1 of every model, with 95 % intervals",
      "Accuracy of the float model, of nearest rounding, of the start and of the tuned model; the table below has "
      "the numbers.",
      {{"kind", "points"},
       {"x", {{"title", "Model"}, {"labels", labels}}},
       {"y", {{"title", "Top-1 (%)"}}},
       {"series", std::move(series)}});
  const auto title = [&](const char* set) {
    return fmt::format("{} (n = {})", set, count_text(run.score("tuned", set).n));
  };
  page.table("Top-1 in per cent, with 95 % intervals (Wilson); seconds to make the model",
             {{"model", false}, {title("fitness")}, {title("gate")}, {title("test")}, {"seconds"}}, rows);
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
  accuracies(run, page);
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
    page.plot("Error with one layer at a time quantised, with 95 % intervals",
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
