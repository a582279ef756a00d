// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "qnudge/report/html_page.hpp"
#include "qnudge/report/run_files.hpp"

/// Plots and tables of one run, for its own page and for a sweep's. Accuracies and F1 are in per cent.
namespace qnudge {

/// "85.45 (84.12 to 86.70)", the 95 % interval being Wilson's, which right answers alone have; "-" for an empty set.
std::string score_text(const FileScore& score);

/// The same as a point of a plot at `x`.
HtmlPage::Json score_point(const std::string& x, const FileScore& score);

/// What the best candidates of a layer are measured by, for people.
struct CurveUnit {
  std::string title;     ///< of the axis
  std::string sentence;  ///< what a reader must know about it
  int decimals = 2;
};
CurveUnit curve_unit(const Config& config);

/// `best` in that unit; `start` is the layer's first.
double curve_value(const RunFiles& run, std::int64_t best, std::int64_t start);

HtmlPage::Json curves_plot(const RunFiles& run);   ///< best against generation, a line per layer
HtmlPage::Json changes_plot(const RunFiles& run);  ///< share of codes changed, per layer
/// Error with one layer quantised, least sensitive first; `ranking` is not empty.
std::string sensitivity_title(const SensitivityRanking& ranking);
HtmlPage::Json sensitivity_plot(const SensitivityRanking& ranking);
void sensitivity_table(const SensitivityRanking& ranking, HtmlPage& page);

/// Columns and rows of all layers: bits, start, end, generations, changes.
void layer_table(const RunFiles& run, bool folded, HtmlPage& page);

}  // namespace qnudge
