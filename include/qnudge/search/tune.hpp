// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/backend/float_pass.hpp"
#include "qnudge/config/config.hpp"
#include "qnudge/data/dataset.hpp"
#include "qnudge/model/graph.hpp"
#include "qnudge/quant/network.hpp"
#include "qnudge/quant/quantise.hpp"
#include "qnudge/quant/reference.hpp"

namespace qnudge {

/// What a run tells the outside while it works; called from the thread that runs `tune`.
class TuneObserver {
 public:
  virtual ~TuneObserver() = default;
  /// A new phase: "reference", "nearest", "start", "sensitivity", "search", "test".
  virtual void stage(std::string_view name) = 0;
  /// Layer `position` of `count` in search order starts (or goes on); `mailbox` lives until `layer_finished`.
  virtual void layer_started(int position, int count, const std::string& name, std::int64_t generations,
                             const Mailbox& mailbox) = 0;
  virtual void layer_finished(int position, int count, const std::string& name, std::int64_t start_fitness,
                              std::int64_t best_fitness) = 0;
  /// Instead of `layer_finished`, when an interruption or an error ends the run: the mailbox dies now.
  virtual void layer_abandoned() {}
  /// One sentence the user should see (a fallback, a layer beyond exact arithmetic, the gate's verdict).
  virtual void note(const std::string& sentence) = 0;
};

struct SharedWork;

/// All a run needs. `stop` is set by signal handlers; the run then leaves the generation, saves and throws
/// Error(kind interrupted), within two seconds wherever it is.
struct TuneRequest {
  Config config;
  const Graph* graph = nullptr;
  std::shared_ptr<const Dataset> train, test;
  Backend* backend = nullptr;
  FloatPass float_pass;
  std::filesystem::path folder;  ///< run folder
  bool resume = false;           ///< go on from its checkpoint; without, a folder that holds one is refused
  StopFlag* stop = nullptr;
  SharedWork* shared = nullptr;  ///< with other runs of a sweep (search/shared_work.hpp)
};

/// Scores of one model on its sets.
struct ModelScores {
  Evaluation fitness, gate, test;
  double seconds = 0;    ///< wall clock that it took to make the model, without measuring it
  Evaluation threshold;  ///< of series
};

struct LayerResult {
  std::string name;
  int layer = 0;  ///< ordinal
  double sensitivity =
      0;  ///< accuracy (of series squared error) with this layer alone at sensitivity bits; -1: unknown
  std::int64_t start_fitness = 0, best_fitness = 0;
  std::int64_t generations = 0;
  std::int64_t changed_codes = 0;  ///< against the layer's start
  int bits = 0;
};

struct TuneResult {
  Splits splits;
  std::vector<std::int32_t> fitness_labels, gate_labels, test_labels;
  Reference::Set float_fitness, float_gate, float_test;
  /// Of series; `test_blocks` [test] numbers the stretches of time that test windows lie in.
  std::vector<std::int32_t> threshold_labels, test_blocks;
  Reference::Set float_threshold;
  bool float_at_chance = false;  ///< on test images it is right no more often than guessing (search/chance.hpp)
  ModelScores nearest, start, tuned;
  std::optional<ModelScores> bias;         ///< nearest codes with corrected biases; not for stop rule "budget"
  std::vector<LayerResult> layers;         ///< in search order, those searched
  bool gate_kept = true;                   ///< false: the gate discarded the search and tuned == start
  std::string stop_reason;                 ///< "done", "recovered", "budget", "seconds"
  std::int64_t evaluations = 0;            ///< candidates scored, on images or on a Gram matrix
  std::int64_t candidate_images = 0;       ///< images that candidates were run on
  double seconds = 0, search_seconds = 0;  ///< wall clock over all sessions of the run
  std::int64_t size_bytes = 0;             ///< packed
  std::vector<std::string> notes;          ///< every sentence given to the observer
  IntNetwork network;                      ///< tuned
};

/// The whole run: reference, nearest, start, sensitivity, layer-wise search, gate, test, tuned.onnx. Writes
/// config.resolved.json, reference.bin, sensitivity.json, history.jsonl, progress.json, checkpoint.bin and tuned.onnx
/// into the folder, each atomically; two runs in one folder exclude each other. Throws Error: usage (folder, or a
/// checkpoint of another model, dataset, config or reference, saying which), input, device, interrupted.
TuneResult tune(const TuneRequest& request, TuneObserver& observer);

/// Accuracy with one layer alone at `config.search.sensitivity_bits`, the others at rest bits, on calibration images.
struct Sensitivity {
  struct Entry {
    int layer = 0;
    std::string name;
    std::int64_t correct = 0, n = 0;
    std::optional<double> squared_error;  ///< of series: mean over windows and values
  };
  std::vector<Entry> entries;  ///< in search order: least sensitive (most accurate) first, ties by ordinal
};
/// Only the analysis; writes sensitivity.json (and reference.bin) into the folder, unless that holds a run already.
Sensitivity analyse_sensitivity(const TuneRequest& request, TuneObserver& observer);

/// JSON text of sensitivity.json.
std::string sensitivity_json(const Sensitivity& sensitivity, int bits, int rest_bits);

}  // namespace qnudge
