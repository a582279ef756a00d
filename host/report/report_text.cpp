// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "qnudge/core/printable.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/run_report.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

std::string title(const RunReport& report) {
  const ReportContext& context = report.context;
  const char* protocol =
      report.leaky ? "protocol paper, LEAKY: fitness was scored on test images" : "held-out protocol";
  return fmt::format("qnudge {} | {} | {}seed {} | {}\n", kVersion, protocol,
                     context.activations == "half" ? "half activations | " : "", context.seed, context.device);
}

std::string accuracy_table(const RunReport& report) {
  const ModelReport& first = report.models.front();
  const auto heading = [](const char* set, const Score& score, const char* remark) {
    return TextTable::Column{fmt::format("{} (n = {}{})", set, count_text(score.n), remark)};
  };
  std::vector<TextTable::Column> columns = {{"top-1", TextTable::Align::left},
                                            heading("fitness", first.fitness, report.leaky ? ", of test" : ""),
                                            heading("gate", first.gate, ""),
                                            heading("test", first.test, report.leaky ? ", LEAKY" : "")};
  if (first.held_back) columns.push_back(heading("test held back", *first.held_back, ""));
  columns.insert(columns.end(), {{"candidates"}, {"seconds"}});
  TextTable table(columns);
  for (const ModelReport& model : report.models) {
    const bool guesses = report.float_at_chance && &model == &first;
    std::vector<std::string> row = {model.name + (guesses ? " (only guesses, see note)" : ""),
                                    percent_text(model.fitness.value), percent_text(model.gate.value),
                                    percent_text(model.test.value)};
    if (model.held_back) row.push_back(percent_text(model.held_back->value));
    row.push_back(count_text(model.evaluations));
    row.push_back(fmt::format("{:.1f}", model.seconds));
    table.add(std::move(row));
  }
  return table.text();
}

/// Series: F1 of the test steps with what leads to it.
std::string series_table(const RunReport& report) {
  const ModelReport& first = report.models.front();
  const auto heading = [](const char* what, const char* set, const Score& score) {
    return TextTable::Column{fmt::format("{} {} (n = {})", what, set, count_text(score.n))};
  };
  std::vector<TextTable::Column> columns = {{"series", TextTable::Align::left},
                                            heading("error", "fitness", first.fitness),
                                            heading("error", "gate", first.gate),
                                            heading("F1", "threshold", *first.threshold),
                                            heading("F1", report.leaky ? "test, LEAKY" : "test", first.test),
                                            {"best-threshold F1 on test"}};
  if (first.held_back) columns.push_back(heading("F1", "test held back", *first.held_back));
  columns.insert(columns.end(), {{"candidates"}, {"seconds"}});
  TextTable table(columns);
  for (const ModelReport& model : report.models) {
    std::vector<std::string> row = {model.name,
                                    fmt::format("{:.4g}", model.fitness.value),
                                    fmt::format("{:.4g}", model.gate.value),
                                    percent_text(model.threshold->value),
                                    percent_text(model.test.value),
                                    percent_text(model.test.detection->best_threshold_f1)};
    if (model.held_back) row.push_back(percent_text(model.held_back->value));
    row.push_back(count_text(model.evaluations));
    row.push_back(fmt::format("{:.1f}", model.seconds));
    table.add(std::move(row));
  }
  return table.text() +
         "\nF1 is over time steps, at the threshold that is best on the threshold steps; best-threshold F1 chooses it "
         "on "
         "the test\nsteps themselves, as the literature reports it. error: mean squared reconstruction error.\n";
}

std::string interval_lines(const Comparison& comparison, const char* set) {
  const auto line = [&](const char* label, const PairedInterval& d) {
    return fmt::format("{:<16}{} points on {}, 95 % interval {} to {}, {} (paired, {} gained, {} lost)\n", label,
                       points_text(d.difference), set, points_text(d.low), points_text(d.high), p_value_text(d.p_value),
                       count_text(d.gained), count_text(d.lost));
  };
  return line("tuned - nearest", comparison.tuned_minus_nearest) + line("tuned - start", comparison.tuned_minus_start);
}

/// What became of the accuracy that nearest rounding lost on a set. Shares beyond 0 and 1 say nothing of use.
std::string recovered_line(const RunReport& report, const std::optional<RunReport::Recovered>& share, bool held_back,
                           const char* set) {
  const char* what = report.series ? "F1" : "accuracy";
  const auto line = [](const std::string& text) { return fmt::format("{:<16}{}\n", "recovered", text); };
  if (report.float_at_chance) return line("not told: the float model itself only guesses");
  if (!share) return line(fmt::format("nothing to recover: nearest rounding lost no {} on {}", what, set));
  const auto score = [&](std::size_t model) {
    const ModelReport& row = report.models[model];
    return held_back ? row.held_back->value : row.test.value;
  };
  const double lost = score(0) - score(1);
  const std::string loss = fmt::format("of the {} that nearest rounding lost on {}", what, set);
  if (share->tuned < 0) {
    return line(fmt::format("nothing {} ({:.2f} points): tuned is another {:.2f} points below", loss, 100 * lost,
                            -100 * share->tuned * lost));
  }
  if (share->tuned > 1) {
    return line(fmt::format("all {} ({:.2f} points), and {:.2f} points more than float", loss, 100 * lost,
                            100 * (share->tuned - 1) * lost));
  }
  const bool tell_start = share->start > 0 && share->start <= 1;
  const std::string by_start = tell_start ? fmt::format(", the start alone {:.1f} %", 100 * share->start) : "";
  return line(fmt::format("{:.1f} % {}{}", 100 * share->tuned, loss, by_start));
}

std::string stop_text(const std::string& reason) {
  if (reason == "recovered") return ", stopped early: float accuracy is recovered on the gate images";
  if (reason == "budget") return ", stopped early: the accuracy budget is spent";
  if (reason == "seconds") return ", stopped early: the time limit is reached";
  return "";
}

std::string scored_text(const RunReport& report) {
  const std::string candidates = count_text(report.evaluations);
  if (report.evaluations == 0) return "no candidate";
  if (report.candidate_images == 0) return candidates + " candidates scored on Gram matrices";
  return fmt::format("{} candidate evaluations, {} candidate-images/s", candidates,
                     rate_text(report.candidate_images_per_second));
}

}  // namespace

std::string report_text(const RunReport& report) {
  std::string text = title(report) + '\n' + (report.series ? series_table(report) : accuracy_table(report)) + '\n';
  text += interval_lines(report.test, report.leaky ? "test (LEAKY)" : "test");
  text += recovered_line(report, report.recovered, false, report.leaky ? "test (LEAKY)" : "test");
  if (report.held_back) {
    text += interval_lines(*report.held_back, "test held back");
    text += recovered_line(report, report.recovered_held_back, true, "test held back");
  }
  if (report.gate_used) {
    text += fmt::format("{:<16}{}\n", "gate",
                        report.gate_kept ? "kept the search's result: not worse than its start on the gate images"
                                         : "discarded the search's result: worse than its start on the gate images; "
                                           "tuned is start");
  }
  text +=
      fmt::format("{:<16}{}, search {}, in all {}{}\n", "search", scored_text(report),
                  duration_text(report.search_seconds), duration_text(report.seconds), stop_text(report.stop_reason));
  text += fmt::format("{:<16}{} bytes packed, {} bytes as fp32", "size", count_text(report.size_bytes),
                      count_text(report.float_size_bytes));
  if (report.size_bytes > 0) {
    text += fmt::format(" ({:.1f} times smaller)",
                        static_cast<double>(report.float_size_bytes) / static_cast<double>(report.size_bytes));
  }
  text += '\n';
  for (const std::string& note : report.notes) text += fmt::format("{:<16}{}\n", "note", cleaned(note));
  return text;
}

}  // namespace qnudge
