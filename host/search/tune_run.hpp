// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "layer_fit.hpp"
#include "qnudge/search/checkpoint.hpp"
#include "qnudge/search/measured_set.hpp"
#include "qnudge/search/run_folder.hpp"
#include "qnudge/search/setup.hpp"
#include "qnudge/search/shared_work.hpp"

namespace qnudge {

/// One run of `tune`, taken apart into the steps that `tune` calls in order.
class TuneRun {
 public:
  TuneRun(const TuneRequest& request, TuneObserver& observer);

  void prepare();        ///< reference, network, session, image sets; refuses a foreign checkpoint
  void measure_start();  ///< float, nearest, bias, start
  void rank();           ///< sensitivity and search order
  void search();         ///< all layers, with checkpoints
  TuneResult finish();   ///< gate, test, tuned.onnx

  Sensitivity analyse();  ///< instead of all these: only the ranking, no checkpoint; a run in the folder stays as it is

  /// Throws Error(kind interrupted) that says what of the run is kept.
  [[noreturn]] void leave_interrupted() const;
  [[noreturn]] void leave_analysis() const;  ///< the same of `analyse`

 private:
  [[noreturn]] void leave_early(const std::string& before) const;
  const Config& config() const { return request_.config; }
  const Dataset& fitness_data() const { return prepared_.splits.fitness_from_test ? *request_.test : *request_.train; }
  const Dataset& gate_data() const { return prepared_.splits.gate_from_test ? *request_.test : *request_.train; }
  bool budget() const { return config().stop.rule == "budget"; }
  bool interrupted() const { return *request_.stop; }

  void open_folder();
  void open_session();     ///< with the calibration images
  void check_reference();  ///< notes what makes the float model or its scales useless
  bool wants_bias() const;
  StartPoint make_start();        ///< nearest, bias, start
  std::string start_key() const;  ///< fingerprint of all that decides it
  Sensitivity measure_order();    ///< by sensitivity
  std::string order_key() const;  ///< fingerprint of all that decides it
  void check_ranges(const std::vector<LayerParams>& params);
  void apply(const std::vector<LayerParams>& params);
  /// Scores of the network with these params, which took since `begun` to make.
  using Clock = std::chrono::steady_clock;
  ModelScores measure(const std::vector<LayerParams>& params, Clock::time_point begun);
  void quantise_for_budget(int layer);
  void search_layer(int position);
  void take(const Sensitivity::Entry& entry, const LayerSearch* search, const LayerParams& before);
  std::unique_ptr<LayerSearch> open_search(int layer);  ///< none where the strategy cannot work on the layer
  std::int64_t images_per_evaluation() const;           ///< 0: candidates are not evaluated on images
  void begin(const Sensitivity::Entry& entry, int position, LayerSearch& search);
  LayerResult untouched(const Sensitivity::Entry& entry) const;
  LayerResult adopt(const Sensitivity::Entry& entry, const LayerSearch& search);
  bool stop_rule_met(int layer);
  void record(const Sensitivity::Entry& entry, int position, const std::vector<GenerationRecord>& records);
  void save(const LayerSearch* running);
  void write_progress(const std::string& stage);
  void note(const std::string& sentence);
  double seconds() const;
  double search_seconds() const;

  const TuneRequest& request_;
  TuneObserver& observer_;
  RunFolder folder_;
  Prepared prepared_;
  std::unique_ptr<Session> session_;
  ImagesHandle calibration_, fitness_, gate_;
  std::optional<MeasuredSet> test_, threshold_;  // threshold_: of series
  std::vector<LayerParams> start_params_;        // of the network that the search starts from
  Checkpoint state_;
  bool resumed_ = false;
  TuneResult result_;
  std::atomic<bool> timed_out_{false};
  StopFlag halt_{false};                // asked to stop, or timed out
  std::optional<LayerFit> fit_;         // where the run has targets
  std::optional<LayerFit::Form> form_;  // strategy "gram": of the layer under search
  const Clock::time_point begun_ = Clock::now();
  std::optional<Clock::time_point> search_begun_;
  double earlier_seconds_ = 0, earlier_search_seconds_ = 0;
};

}  // namespace qnudge
