// SPDX-License-Identifier: MIT
#include "run_plots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/report/format.hpp"

namespace qnudge {
namespace {

using Json = HtmlPage::Json;

double per_cent(double part, double whole) {
  return whole != 0 ? 100 * part / whole : 0;
}

/// Digits that a plot can show; more would only make the page longer.
double rounded(double value) {
  return std::round(value * 1e4) / 1e4;
}

std::vector<nlohmann::json> by_sensitivity(const RunFiles& run) {
  std::vector<nlohmann::json> layers;
  for (const auto& layer : run.report.at("layers")) {
    if (!layer.at("sensitivity").is_null()) layers.push_back(layer);
  }
  std::stable_sort(layers.begin(), layers.end(), [](const auto& a, const auto& b) {
    return a.at("sensitivity").template get<double>() > b.at("sensitivity").template get<double>();
  });
  return layers;
}

}  // namespace

CurveUnit curve_unit(const Config& config) {
  const SearchConfig& search = config.search;
  if (search.strategy == "gram") {
    return {
        "Fit against the start (%)",
        "Strategy gram runs no candidate on images: the curves show how much of the squared error its quadratic form "
        "explains, against the layer's start. Higher is better."};
  }
  if (search.strategy == "channel") {
    return {"Squared error against the start (%)",
            "Strategy channel scores every output channel by its own squared error on calibration images: the curves "
            "show the layer's sum against its start. Lower is better."};
  }
  if (search.fitness == "cross_entropy" || search.fitness == "kl") {
    return {search.fitness == "kl" ? "KL from the float model on fitness images (nats)"
                                   : "Cross-entropy on fitness images (nats)",
            "The whole network's loss with the layer's best candidate. Lower is better.", 4};
  }
  return {"Top-1 on fitness images (%)", "The whole network's accuracy with the layer's best candidate."};
}

double curve_value(const RunFiles& run, std::int64_t best, std::int64_t start) {
  const SearchConfig& search = run.config.search;
  const auto value = static_cast<double>(best);
  if (search.strategy == "gram" || search.strategy == "channel") {
    return rounded(per_cent(value, static_cast<double>(start)));
  }
  const auto n = static_cast<double>(std::max<std::int64_t>(run.score("tuned", "fitness").n, 1));
  if (search.fitness == "cross_entropy" || search.fitness == "kl") {
    return rounded(std::abs(value) / static_cast<double>(kQ16One) / n);
  }
  if (search.fitness == "top1") return rounded(100 * value / n);
  return rounded(100 * std::ceil(value / static_cast<double>(kCorrectWeight)) / n);  // the loss only breaks ties
}

Json curves_plot(const RunFiles& run) {
  Json series = Json::array();
  for (const LayerCurve& curve : run.curves) {
    Json points = Json::array();
    for (const LayerCurve::Point& p : curve.points) {
      points.push_back({{"x", p.generation}, {"y", curve_value(run, p.best, curve.points.front().best)}});
    }
    series.push_back({{"name", curve.layer}, {"points", std::move(points)}});
  }
  return {{"kind", "lines"},
          {"ramp", true},
          {"x", {{"title", "Generation"}}},
          {"y", {{"title", curve_unit(run.config).title}}},
          {"series", std::move(series)}};
}

Json changes_plot(const RunFiles& run) {
  Json labels = Json::array(), points = Json::array();
  for (const auto& layer : run.report.at("layers")) {
    labels.push_back(layer.at("name").get<std::string>());
    const double changed = layer.at("changed_codes").get<double>();
    points.push_back({{"x", layer.at("name").get<std::string>()},
                      {"y", rounded(per_cent(changed, layer.at("weights").get<double>()))}});
  }
  return {{"kind", "bars"},
          {"horizontal", true},
          {"x", {{"title", "Layer, in search order"}, {"labels", std::move(labels)}}},
          {"y", {{"title", "Codes that the search changed (%)"}}},
          {"series", Json::array({{{"name", "changed"}, {"points", std::move(points)}}})}};
}

bool has_sensitivity(const RunFiles& run) {
  return !by_sensitivity(run).empty();
}

Json sensitivity_plot(const RunFiles& run) {
  Json labels = Json::array(), points = Json::array();
  for (const auto& layer : by_sensitivity(run)) {
    labels.push_back(layer.at("name").get<std::string>());
    points.push_back(
        {{"x", layer.at("name").get<std::string>()}, {"y", rounded(100 * layer.at("sensitivity").get<double>())}});
  }
  return {{"kind", "bars"},
          {"horizontal", true},
          {"x", {{"title", "Layer, least sensitive first"}, {"labels", std::move(labels)}}},
          {"y",
           {{"title", fmt::format("Top-1 on calibration images, the layer alone at {} bits (%)",
                                  run.config.search.sensitivity_bits)}}},
          {"series", Json::array({{{"name", "top-1"}, {"points", std::move(points)}}})}};
}

void layer_table(const RunFiles& run, bool folded, HtmlPage& page) {
  const CurveUnit unit = curve_unit(run.config);
  const bool searched = run.config.search.strategy != "none";
  std::vector<std::vector<std::string>> rows;
  for (const auto& layer : run.report.at("layers")) {
    const auto start = layer.at("start_fitness").get<std::int64_t>();
    const auto value = [&](const char* key) {
      if (layer.at("generations") == 0) return std::string("-");
      return fmt::format("{:.{}f}", curve_value(run, layer.at(key).get<std::int64_t>(), start), unit.decimals);
    };
    const auto& sensitivity = layer.at("sensitivity");
    const auto changed = layer.at("changed_codes").get<std::int64_t>(), all = layer.at("weights").get<std::int64_t>();
    rows.push_back({layer.at("name").get<std::string>(), fmt::format("{}", layer.at("bits").get<std::int64_t>()),
                    sensitivity.is_null() ? "-" : percent_text(sensitivity.get<double>()), value("start_fitness"),
                    value("best_fitness"), count_text(layer.at("generations").get<std::int64_t>()), count_text(changed),
                    count_text(all),
                    fmt::format("{:.2f} %", per_cent(static_cast<double>(changed), static_cast<double>(all)))});
  }
  page.table(fmt::format("Layers in search order{}", searched ? "; start and end: " + unit.title : ""),
             {{"layer", false},
              {"bits"},
              {"sensitivity"},
              {"start"},
              {"end"},
              {"generations"},
              {"codes changed"},
              {"of"},
              {"share"}},
             rows, folded);
}

}  // namespace qnudge
