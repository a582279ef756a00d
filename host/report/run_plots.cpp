// SPDX-License-Identifier: MIT
#include "run_plots.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "qnudge/core/fixed_point.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/interval.hpp"

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

bool is_count(const FileScore& score) {
  return score.metric == "top1";
}

bool is_error(const FileScore& score) {
  return score.metric == "squared_error";
}

}  // namespace

std::string score_text(const FileScore& score) {
  if (score.n == 0) return "-";
  if (is_error(score)) return fmt::format("{:.4g}", score.value);
  const std::string value = fmt::format("{:.2f}", 100 * score.value);
  if (!is_count(score)) return value;
  const ShareInterval range = share_interval(score.value, score.n);
  return fmt::format("{} ({:.2f} to {:.2f})", value, 100 * range.low, 100 * range.high);
}

Json score_point(const std::string& x, const FileScore& score) {
  if (is_error(score)) return {{"x", x}, {"y", score.value}};
  Json point = {{"x", x}, {"y", 100 * score.value}};
  if (!is_count(score)) return point;
  const ShareInterval range = share_interval(score.value, score.n);
  point["low"] = 100 * range.low;
  point["high"] = 100 * range.high;
  return point;
}

CurveUnit curve_unit(const Config& config) {
  const SearchConfig& search = config.search;
  if (search.strategy == "gram") {
    return {
        "Fit against generation 0 (%)",
        "Strategy gram runs no candidate on images: the curves show how much of the squared error its quadratic form "
        "explains, against generation 0, which is descent from the start. Higher is better."};
  }
  if (search.strategy == "channel") {
    return {"Squared error against generation 0 (%)",
            "Strategy channel scores every output channel by its own squared error on calibration images: the curves "
            "show the layer's sum against generation 0. Lower is better."};
  }
  if (search.fitness == "reconstruction") {
    return {"Squared error against generation 0 (%)",
            "The whole network's reconstruction error on fitness windows with the layer's best candidate. Lower is "
            "better."};
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
  if (search.strategy == "gram" || search.strategy == "channel" || search.fitness == "reconstruction") {
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

std::string sensitivity_title(const SensitivityRanking& ranking) {
  const bool counts = is_count(ranking.layers.front().score);
  return fmt::format("Error with one layer at a time quantised{}", counts ? ", with 95 % intervals" : "");
}

Json sensitivity_plot(const SensitivityRanking& ranking) {
  const bool error = is_error(ranking.layers.front().score);
  Json labels = Json::array(), points = Json::array();
  for (const auto& [name, score] : ranking.layers) {
    labels.push_back(name);
    if (error) {
      points.push_back(score_point(name, score));
      continue;
    }
    const ShareInterval range = share_interval(score.value, score.n);
    points.push_back({{"x", name},
                      {"y", rounded(100 * (1 - score.value))},
                      {"low", rounded(100 * (1 - range.high))},
                      {"high", rounded(100 * (1 - range.low))}});
  }
  const std::string title =
      fmt::format("{}, the layer alone at {} bits{}",
                  error ? "Mean squared error on calibration windows" : "Top-1 error on calibration images",
                  ranking.bits, error ? "" : " (%)");
  return {
      {"kind", "bars"},
      {"horizontal", true},
      {"x", {{"title", "Layer, least sensitive first"}, {"labels", std::move(labels)}}},
      {"y", {{"title", title}}},
      {"series", Json::array({{{"name", error ? "squared error" : "top-1 error"}, {"points", std::move(points)}}})}};
}

void sensitivity_table(const SensitivityRanking& ranking, HtmlPage& page) {
  const bool error = is_error(ranking.layers.front().score);
  std::vector<std::vector<std::string>> rows;
  for (const auto& [name, score] : ranking.layers) {
    rows.push_back({fmt::format("{}", rows.size() + 1), name, score_text(score), count_text(score.n)});
  }
  page.table(fmt::format("{} with the layer alone quantised, least sensitive first",
                         error ? "Mean squared error" : "Top-1 in per cent (95 % interval)"),
             {{"rank"}, {"layer", false}, {error ? "squared error" : "top-1"}, {"n"}}, rows, true);
}

void layer_table(const RunFiles& run, bool folded, HtmlPage& page) {
  const CurveUnit unit = curve_unit(run.config);
  std::vector<std::vector<std::string>> rows;
  for (const auto& layer : run.report.at("layers")) {
    const auto name = layer.at("name").get<std::string>();
    const auto curve =
        std::find_if(run.curves.begin(), run.curves.end(), [&](const LayerCurve& c) { return c.layer == name; });
    const auto value = [&](const LayerCurve::Point& point) {
      return fmt::format("{:.{}f}", curve_value(run, point.best, curve->points.front().best), unit.decimals);
    };
    const bool searched = curve != run.curves.end();
    const auto changed = layer.at("changed_codes").get<std::int64_t>(), all = layer.at("weights").get<std::int64_t>();
    rows.push_back({name, fmt::format("{}", layer.at("bits").get<std::int64_t>()),
                    searched ? value(curve->points.front()) : "-", searched ? value(curve->points.back()) : "-",
                    count_text(layer.at("generations").get<std::int64_t>()),
                    fmt::format("{} of {}", count_text(changed), count_text(all)),
                    fmt::format("{:.2f} %", per_cent(static_cast<double>(changed), static_cast<double>(all)))});
  }
  page.table(fmt::format("Layers in search order; first and last generation: {}", unit.title),
             {{"layer", false}, {"bits"}, {"first"}, {"last"}, {"generations"}, {"codes changed"}, {"share"}}, rows,
             folded);
}

}  // namespace qnudge
