// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/cli/run_context.hpp"
#include "qnudge/cli/signals.hpp"
#include "qnudge/config/sweep.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/report/sweep_results.hpp"
#include "qnudge/search/run_folder.hpp"
#include "qnudge/search/shared_work.hpp"

namespace qnudge {

/// Runs of a sweep as entries of its results, each with what its folder says; nothing is written. Throws Error(kind
/// usage) for a folder that holds a run of another config.
SweepResults sweep_state(const SweepFile& sweep, const std::vector<SweepRun>& runs);

/// Does all runs of a sweep that are not done, `jobs` at a time, in a folder that no one else may use meanwhile. A run
/// that fails is noted with its sentence, and the others go on. After every run the results are written, unless that
/// would take more than a fiftieth of the time.
class SweepRunner {
 public:
  /// Takes the folder. Throws Error(kind usage): in use, not writable, a run of another config.
  SweepRunner(const SweepFile& sweep, const std::vector<SweepRun>& runs, int jobs, Terminal& terminal,
              const OutputOptions& output);

  /// Results of all runs, written. Throws Error: interrupted (all is saved; the same command goes on), usage (results
  /// cannot be written; a done run was made with another model or data), device.
  SweepResults run();

  /// Kind of the first failed run, in the order of the plan; nothing if none failed.
  std::optional<ErrorKind> first_failure() const;

 private:
  using Clock = std::chrono::steady_clock;

  /// One of the threads that do runs.
  struct Worker {
    StopFlag stop{false};
    std::shared_ptr<Backend> backend;
    std::string inputs_key;
    std::shared_ptr<const RunInputs> inputs;  ///< of the last run
    std::string status;                       ///< for the status line
  };
  class Observer;

  void work(Worker& worker);
  void watch();
  void run_one(Worker& worker, std::size_t i);
  std::string do_run(Worker& worker, std::size_t i);  ///< outcome, for the log
  void measure_sensitivity();  ///< of the first run, into the folder "sensitivity", where no run does it
  std::shared_ptr<const RunInputs> inputs_for(Worker& worker, const Config& config);
  void check_done_runs(const std::string& key, const RunInputs& inputs);
  std::string failed(std::size_t i, ErrorKind kind, const std::string& sentence);  ///< outcome, for the log
  void write_results_if_due();                                                     ///< holds mutex_
  std::string status_line();                                                       ///< holds mutex_

  const SweepFile& sweep_;
  const std::vector<SweepRun>& runs_;
  const OutputOptions& output_;
  Terminal& terminal_;
  RunFolder folder_;
  SharedWork shared_;
  StopSignals signals_;
  std::vector<std::unique_ptr<Worker>> workers_;

  std::mutex mutex_;  // all below
  SweepResults results_;
  std::vector<std::optional<ErrorKind>> failures_;  // [runs]
  std::map<std::string, std::weak_ptr<const RunInputs>> inputs_;
  std::mutex loading_;  // one at a time; never taken with mutex_ held
  std::size_t next_ = 0, to_do_ = 0, ended_ = 0;
  std::exception_ptr fatal_;
  bool over_ = false;
  const Clock::time_point began_ = Clock::now();
  Clock::time_point written_ = began_;
  double write_seconds_ = 0;
};

}  // namespace qnudge
