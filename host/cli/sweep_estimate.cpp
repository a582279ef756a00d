// SPDX-License-Identifier: MIT
#include "qnudge/cli/sweep_estimate.hpp"

#include <stdlib.h>

#include <algorithm>
#include <chrono>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/run_context.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kShortGenerations = 4;
constexpr double kShortSearchSeconds = 30;

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// Adds up the time in which generations passed.
class SearchTime : public TuneObserver {
 public:
  void stage(std::string_view) override {}
  void layer_started(int, int count, const std::string&, std::int64_t, const Mailbox&) override {
    layers_ = count;
    started_ = Clock::now();
  }
  void layer_finished(int, int, const std::string&, std::int64_t, std::int64_t) override {
    seconds_ += seconds_between(started_, Clock::now());
    ++finished_;
  }
  void note(const std::string&) override {}

  double seconds() const { return seconds_; }
  /// All layers for each one finished: a short run may run out of time.
  double all_for_finished() const { return finished_ > 0 ? layers_ / static_cast<double>(finished_) : 1; }

 private:
  Clock::time_point started_;
  double seconds_ = 0;
  int layers_ = 0, finished_ = 0;
};

class TemporaryRun {
 public:
  TemporaryRun() {
    std::string name = (fs::temp_directory_path() / "qnudge-XXXXXX").string();
    require(::mkdtemp(name.data()) != nullptr, ErrorKind::usage, "{}: no folder can be made there",
            fs::temp_directory_path().string());
    path = name;
  }
  ~TemporaryRun() {
    std::error_code none;
    fs::remove_all(path, none);
  }
  TemporaryRun(const TemporaryRun&) = delete;
  TemporaryRun& operator=(const TemporaryRun&) = delete;
  fs::path path;
};

double measured_run(const SweepRun& run) {
  const TemporaryRun folder;
  Config config = run.config;
  const std::int64_t generations = config.search.generations;
  config.out = folder.path.string();
  config.search.generations = std::min(generations, kShortGenerations);
  config.stop.seconds = kShortSearchSeconds;
  StopSignals signals;
  const Clock::time_point begun = Clock::now();
  RunContext context = make_run(config, load_inputs(config), make_backend(config.backend, BackendOptions::of(config)));
  context.request.stop = &signals.flag();
  SearchTime search;
  tune(context.request, search);
  const double fixed = seconds_between(begun, Clock::now()) - search.seconds();
  const double all = fixed + search.seconds() * search.all_for_finished() * static_cast<double>(generations) /
                                 static_cast<double>(config.search.generations);
  return run.config.stop.seconds > 0 ? std::min(all, fixed + run.config.stop.seconds) : all;
}

/// Axes on which two runs agree, the seed left out.
std::size_t agreement(const SweepResults& state, const SweepEntry& a, const SweepEntry& b) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < state.axes.size(); ++i) count += state.axes[i] != "seed" && a.values[i] == b.values[i];
  return count;
}

double by_done_runs(const SweepResults& state, const SweepEntry& open) {
  std::size_t best = 0;
  double sum = 0, count = 0;
  for (const SweepEntry& entry : state.entries) {
    if (!entry.run) continue;
    const std::size_t agrees = agreement(state, open, entry);
    if (agrees > best) {
      best = agrees;
      sum = count = 0;
    }
    if (agrees < best) continue;
    sum += entry.run->report.at("seconds").get<double>();
    count += 1;
  }
  return sum / count;
}

}  // namespace

SweepEstimate estimate_sweep(const std::vector<SweepRun>& runs, const SweepResults& state) {
  const std::size_t done = state.count(SweepEntry::Status::done);
  if (done == runs.size()) return {0, "nothing is left to do"};
  SweepEstimate estimate;
  if (done > 0) {
    for (const SweepEntry& entry : state.entries) estimate.seconds += entry.run ? 0 : by_done_runs(state, entry);
    estimate.source = fmt::format("from the {} done in this folder", done);
    return estimate;
  }
  estimate.seconds = measured_run(runs.front()) * static_cast<double>(runs.size());
  estimate.source = fmt::format("from a quick measurement of {}", runs.front().name);
  return estimate;
}

}  // namespace qnudge
