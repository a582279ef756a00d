// SPDX-License-Identifier: MIT
#include "qnudge/report/run_report.hpp"

#include <cmath>
#include <limits>
#include <unordered_set>

#include "qnudge/core/error.hpp"
#include "qnudge/kernels/score.hpp"
#include "series_rows.hpp"

namespace qnudge {
namespace {

using Labels = std::vector<std::int32_t>;

/// Positions of a prediction array that count.
using Selection = std::vector<std::size_t>;

Labels pick(const Labels& values, const Selection& selection) {
  Labels picked;
  picked.reserve(selection.size());
  for (const std::size_t i : selection) picked.push_back(values[i]);
  return picked;
}

/// Test positions whose image is not in the fitness set.
Selection held_back_positions(const Splits& splits) {
  const std::unordered_set<std::int64_t> seen(splits.fitness.begin(), splits.fitness.end());
  Selection positions;
  for (std::size_t i = 0; i < splits.test.size(); ++i) {
    if (!seen.contains(splits.test[i])) positions.push_back(i);
  }
  return positions;
}

Score accuracy(const Labels& labels, const Labels& predicted, const char* model, const char* set) {
  require(labels.size() == predicted.size(), ErrorKind::internal,
          "report: model '{}' has {} predictions on the {} set; it has {} labels", model, predicted.size(), set,
          labels.size());
  std::int64_t correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) correct += labels[i] == predicted[i];
  Score score;
  score.n = static_cast<std::int64_t>(labels.size());
  score.value = score.n > 0 ? static_cast<double>(correct) / static_cast<double>(score.n)
                            : std::numeric_limits<double>::quiet_NaN();
  return score;
}

double nats(std::int64_t sum, std::int64_t n) {
  return static_cast<double>(sum) / (static_cast<double>(kQ16One) * static_cast<double>(n));
}

Score float_score(const Labels& labels, const Reference::Set& set, const char* name) {
  Score score = accuracy(labels, set.predicted, "float", name);
  if (score.n > 0) score.cross_entropy = nats(set.cross_entropy, score.n);
  return score;
}

Score integer_score(const Labels& labels, const Evaluation& evaluation, bool has_kl, const char* model,
                    const char* set) {
  Score score = accuracy(labels, evaluation.predicted, model, set);
  if (score.n > 0) {
    score.cross_entropy = nats(evaluation.cross_entropy, score.n);
    if (has_kl) score.kl = nats(evaluation.kl, score.n);
  }
  return score;
}

/// Builds the rows of one run's models from classes.
class ClassRows {
 public:
  ClassRows(const TuneResult& result, std::optional<Selection> held_back)
      : result_(result), held_back_(std::move(held_back)) {}

  ModelReport float_model() const {
    ModelReport row;
    row.name = "float";
    row.fitness = float_score(result_.fitness_labels, result_.float_fitness, "fitness");
    row.gate = float_score(result_.gate_labels, result_.float_gate, "gate");
    row.test = float_score(result_.test_labels, result_.float_test, "test");
    row.held_back = held_back_score(result_.float_test.predicted);
    return row;
  }

  ModelReport integer_model(const char* name, const ModelScores& scores) const {
    ModelReport row;
    row.name = name;
    row.seconds = scores.seconds;
    row.fitness =
        integer_score(result_.fitness_labels, scores.fitness, !result_.float_fitness.logits.empty(), name, "fitness");
    row.gate = integer_score(result_.gate_labels, scores.gate, !result_.float_gate.logits.empty(), name, "gate");
    row.test = integer_score(result_.test_labels, scores.test, !result_.float_test.logits.empty(), name, "test");
    row.held_back = held_back_score(scores.test.predicted);
    return row;
  }

  Comparison compare(bool held_back) const {
    const auto chosen = [&](const Labels& values) { return held_back ? pick(values, *held_back_) : values; };
    const Labels labels = chosen(result_.test_labels);
    const Labels tuned = chosen(result_.tuned.test.predicted);
    return {.tuned_minus_nearest = paired_interval(labels, tuned, chosen(result_.nearest.test.predicted)),
            .tuned_minus_start = paired_interval(labels, tuned, chosen(result_.start.test.predicted))};
  }

 private:
  std::optional<Score> held_back_score(const Labels& predicted) const {
    if (!held_back_) return std::nullopt;
    return accuracy(pick(result_.test_labels, *held_back_), pick(predicted, *held_back_), "", "held-back");
  }

  const TuneResult& result_;
  std::optional<Selection> held_back_;
};

std::optional<RunReport::Recovered> recovered_share(const Score& reference, const Score& nearest, const Score& start,
                                                    const Score& tuned) {
  const double lost = reference.value - nearest.value;
  if (!(lost > 0)) return std::nullopt;
  return RunReport::Recovered{.tuned = (tuned.value - nearest.value) / lost,
                              .start = (start.value - nearest.value) / lost};
}

/// All models of a run, and the differences between them.
template <class Rows>
void fill(RunReport& report, const Rows& rows, const TuneResult& result, bool held_back) {
  report.models = {rows.float_model(), rows.integer_model("nearest", result.nearest)};
  if (result.bias) report.models.push_back(rows.integer_model("bias", *result.bias));
  report.models.push_back(rows.integer_model("start", result.start));
  report.models.push_back(rows.integer_model("tuned", result.tuned));
  report.models.back().evaluations = result.evaluations;
  report.test = rows.compare(false);
  if (held_back) report.held_back = rows.compare(true);
}

}  // namespace

std::int64_t float_size_bytes(const IntNetwork& network) {
  std::int64_t values = 0;
  for (const Layer& layer : network.layers) values += layer.filter.size() + layer.filter.k;
  return values * static_cast<std::int64_t>(sizeof(float));
}

RunReport make_run_report(const TuneResult& result, const ReportContext& context, bool gate_used) {
  RunReport report;
  report.context = context;
  report.leaky = context.protocol == "paper" || result.splits.fitness_from_test;
  std::optional<Selection> held_back;
  if (report.leaky) {
    require(result.splits.test.size() == result.test_labels.size(), ErrorKind::internal,
            "report: {} test indices; there are {} test labels", result.splits.test.size(), result.test_labels.size());
    held_back = held_back_positions(result.splits);
    report.notes.emplace_back(kLeakyNote);
    if (held_back->empty()) {
      held_back.reset();
      report.notes.emplace_back("No test image was held back: the fitness set is the whole test set.");
    }
  }
  report.series = !result.test_blocks.empty();
  if (report.series) {
    fill(report, SeriesRows(result, context.seed, held_back), result, held_back.has_value());
  } else {
    fill(report, ClassRows(result, held_back), result, held_back.has_value());
  }

  const ModelReport &reference = report.models[0], &nearest = report.models[1];
  const ModelReport &start = report.models[report.models.size() - 2], &tuned = report.models.back();
  report.float_at_chance = result.float_at_chance;
  if (!report.float_at_chance) {
    report.recovered = recovered_share(reference.test, nearest.test, start.test, tuned.test);
  }
  if (held_back && !report.float_at_chance) {
    report.recovered_held_back =
        recovered_share(*reference.held_back, *nearest.held_back, *start.held_back, *tuned.held_back);
  }
  report.seconds = result.seconds;
  report.search_seconds = result.search_seconds;
  report.evaluations = result.evaluations;
  report.candidate_images = result.candidate_images;
  if (result.search_seconds > 0) {
    report.candidate_images_per_second = static_cast<double>(result.candidate_images) / result.search_seconds;
  }
  report.size_bytes = result.size_bytes;
  report.float_size_bytes = float_size_bytes(result.network);
  report.stop_reason = result.stop_reason;
  report.gate_kept = result.gate_kept;
  report.gate_used = gate_used;
  report.layers = result.layers;
  for (const LayerResult& layer : result.layers) {
    report.layer_weights.push_back(result.network.layer(layer.layer).filter.size());
  }
  report.fitness_images = static_cast<std::int64_t>(result.fitness_labels.size());
  report.notes.insert(report.notes.end(), result.notes.begin(), result.notes.end());
  return report;
}

}  // namespace qnudge
