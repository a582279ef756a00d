// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/backend/graph_usage.hpp"
#include "qnudge/report/interval.hpp"
#include "qnudge/search/tune.hpp"

namespace qnudge {

/// What a report says beyond the numbers of a run.
struct ReportContext {
  std::string config_file, folder;
  std::string protocol;  ///< "held_out" or "paper" (leaky)
  std::uint64_t seed = 0;
  std::string activations;  ///< "int8" or "half"
  std::string backend, device;
  std::optional<GraphUsage> graphs;  ///< of this session; nothing from backends that know none
  std::string model, model_fingerprint;
  std::string train_data, train_fingerprint, test_data, test_fingerprint;
};

/// Beside an F1: what it is made of. Thresholds and errors are means of squares in the network's units.
struct Detection {
  double precision = 0, recall = 0;
  double threshold = 0;          ///< the one that gave the F1
  double best_threshold_f1 = 0;  ///< with the threshold chosen on these very steps, as the literature reports it
  std::int64_t anomalous = 0;    ///< time steps
  double squared_error = 0;
};

/// One model on one set.
struct Score {
  double value = 0;  ///< of the metric; accuracy and F1 as fractions; not a number for an empty set
  std::int64_t n = 0;
  std::optional<double> cross_entropy, kl;  ///< mean nats per image; kl against the float model
  std::string metric = "top1";              ///< "top1", "f1", "squared_error"
  std::optional<Detection> detection;       ///< of "f1"
};

struct ModelReport {
  std::string name;  ///< "float", "nearest", "bias", "start", "tuned"
  Score fitness, gate, test;
  double seconds = 0;              ///< wall clock that it took to make the model; 0 for float
  std::int64_t evaluations = 0;    ///< candidates scored on the way
  std::optional<Score> held_back;  ///< paper protocol: test images outside the fitness set
  std::optional<Score> threshold;  ///< series: the steps on which the threshold was chosen
};

/// Tuned minus nearest and tuned minus start on one set of images.
struct Comparison {
  PairedInterval tuned_minus_nearest, tuned_minus_start;
};

/// Everything that report.json and the terminal show, computed from the run's predictions.
struct RunReport {
  ReportContext context;
  bool leaky = false;               ///< fitness was scored on test images
  bool series = false;              ///< scored by F1 and squared errors; else by top-1
  std::vector<ModelReport> models;  ///< float, nearest, bias (if evaluated), start, tuned
  Comparison test;
  std::optional<Comparison> held_back;
  /// Share of what nearest rounding lost that a model wins back: (model - nearest) / (float - nearest).
  struct Recovered {
    double tuned = 0, start = 0;
  };
  std::optional<Recovered> recovered, recovered_held_back;  ///< on test; unset if nearest lost nothing, or at chance
  bool float_at_chance = false;  ///< float is right no more often than guessing: nothing can be concluded from it
  double seconds = 0, search_seconds = 0, candidate_images_per_second = 0;
  std::int64_t evaluations = 0, candidate_images = 0;
  std::int64_t size_bytes = 0, float_size_bytes = 0;  ///< packed; the same weights and biases as fp32
  std::string stop_reason;
  bool gate_kept = true, gate_used = true;
  std::vector<LayerResult> layers;
  std::vector<std::int64_t> layer_weights;  ///< codes of each of them
  std::int64_t fitness_images = 0;
  std::vector<std::string> notes;
};

/// Why the numbers of protocol "paper" must not be quoted as generalisation.
inline constexpr const char* kLeakyNote =
    "LEAKY: protocol \"paper\" scores fitness on test images, so the fitness and test numbers of start and tuned are "
    "not held-out results; only the held-back test images were never seen by the search.";

/// Counts everything anew from labels and predictions. Throws Error(kind internal) when their numbers differ.
RunReport make_run_report(const TuneResult& result, const ReportContext& context, bool gate_used);

/// report.json: two spaces, final newline.
std::string report_json(const RunReport& report);

/// The terminal's table with intervals, recovered share, speed and size.
std::string report_text(const RunReport& report);

/// Fp32 bytes of all weights and biases that the integer network replaces.
std::int64_t float_size_bytes(const IntNetwork& network);

}  // namespace qnudge
