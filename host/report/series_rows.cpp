// SPDX-License-Identifier: MIT
#include "series_rows.hpp"

#include <numeric>

#include "qnudge/kernels/reconstruction.hpp"
#include "qnudge/report/anomaly.hpp"
#include "qnudge/report/series_score.hpp"

namespace qnudge {
namespace {

template <class T>
std::vector<T> pick(const std::vector<T>& values, const std::vector<std::size_t>& positions) {
  std::vector<T> picked;
  for (const std::size_t i : positions) picked.push_back(values[i]);
  return picked;
}

}  // namespace

Score error_score(std::span<const std::int64_t> errors, std::int64_t values, int exponent) {
  const auto n = static_cast<std::int64_t>(errors.size());
  Score score;
  score.metric = "squared_error";
  score.n = n;
  score.value =
      mean_squared_error(std::accumulate(errors.begin(), errors.end(), std::int64_t{0}), n * values, exponent);
  return score;
}

Score f1_score(std::span<const std::int64_t> errors, std::span<const std::int32_t> labels, std::int64_t threshold,
               std::int64_t values, int exponent) {
  const FlagCounts counts = count_flags(labels, flags(errors, threshold));
  Score score;
  score.metric = "f1";
  score.n = static_cast<std::int64_t>(labels.size());
  score.value = counts.f1();
  score.detection = Detection{.precision = counts.precision(),
                              .recall = counts.recall(),
                              .threshold = mean_squared_error(threshold, values, exponent),
                              .best_threshold_f1 = choose_threshold(errors, labels).counts.f1(),
                              .anomalous = counts.true_positives + counts.false_negatives,
                              .squared_error = error_score(errors, values, exponent).value};
  return score;
}

SeriesRows::SeriesRows(const TuneResult& result, std::uint64_t seed, std::optional<std::vector<std::size_t>> held_back)
    : result_(result),
      seed_(seed),
      held_back_(std::move(held_back)),
      values_(result.network.output_size()),
      exponent_(result.network.nodes.front().exponent) {}

ModelReport SeriesRows::row(const char* name, const std::vector<std::int64_t>& fitness,
                            const std::vector<std::int64_t>& gate, const std::vector<std::int64_t>& threshold,
                            const std::vector<std::int64_t>& test) const {
  const std::int64_t chosen = choose_threshold(threshold, result_.threshold_labels).threshold;
  ModelReport report;
  report.name = name;
  report.fitness = error_score(fitness, values_, exponent_);
  report.gate = error_score(gate, values_, exponent_);
  report.threshold = f1_score(threshold, result_.threshold_labels, chosen, values_, exponent_);
  report.test = f1_score(test, result_.test_labels, chosen, values_, exponent_);
  if (held_back_) {
    report.held_back =
        f1_score(pick(test, *held_back_), pick(result_.test_labels, *held_back_), chosen, values_, exponent_);
  }
  return report;
}

ModelReport SeriesRows::float_model() const {
  return row("float", result_.float_fitness.errors, result_.float_gate.errors, result_.float_threshold.errors,
             result_.float_test.errors);
}

ModelReport SeriesRows::integer_model(const char* name, const ModelScores& scores) const {
  ModelReport report =
      row(name, scores.fitness.errors, scores.gate.errors, scores.threshold.errors, scores.test.errors);
  report.seconds = scores.seconds;
  return report;
}

PairedInterval SeriesRows::difference(const ModelScores& first, const ModelScores& second, bool held_back) const {
  const auto flagged = [&](const ModelScores& scores) {
    const std::int64_t chosen = choose_threshold(scores.threshold.errors, result_.threshold_labels).threshold;
    return flags(scores.test.errors, chosen);
  };
  const auto chosen = [&](const std::vector<std::int32_t>& values) {
    return held_back ? pick(values, *held_back_) : values;
  };
  return paired_f1_interval(chosen(result_.test_labels), chosen(flagged(first)), chosen(flagged(second)),
                            chosen(result_.test_blocks), seed_);
}

Comparison SeriesRows::compare(bool held_back) const {
  return {.tuned_minus_nearest = difference(result_.tuned, result_.nearest, held_back),
          .tuned_minus_start = difference(result_.tuned, result_.start, held_back)};
}

}  // namespace qnudge
