// SPDX-License-Identifier: MIT
#include "qnudge/cli/sweep_runner.hpp"

#include <omp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <thread>

#include "qnudge/cli/backends.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/format.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

using namespace std::chrono_literals;
constexpr auto kWatchEvery = 100ms;
constexpr double kShareOfWriting = 0.02;

double seconds_since(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

/// Text that is equal where two configs load the same model and data.
std::string inputs_key(const Config& config) {
  Config relevant;
  relevant.model = config.model;
  relevant.input_height = config.input_height;
  relevant.input_width = config.input_width;
  relevant.data = config.data;
  relevant.data.calibration = relevant.data.fitness = relevant.data.gate = relevant.data.test = 1;
  relevant.data.gate_from = "train";
  relevant.threads = config.threads;
  return resolved_json(relevant);
}

void check_same_config(const fs::path& folder, const Config& saved, const Config& now) {
  require(result_fingerprint(saved) == result_fingerprint(now), ErrorKind::usage,
          "{}: holds a run of another config than the sweep now describes; choose another --out, or move it away",
          folder.string());
}

/// Config of a run that has begun; nothing where it cannot be read: a checkpoint knows its own.
std::optional<Config> saved_config(const fs::path& folder) {
  const fs::path path = folder / "config.resolved.json";
  std::error_code none;
  if (!fs::exists(path, none)) return std::nullopt;
  try {
    return read_config(path);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

SweepResults sweep_state(const SweepFile& sweep, const std::vector<SweepRun>& runs) {
  SweepResults state{.folder = sweep.out, .axes = {}, .entries = {}};
  for (const SweepAxis& axis : sweep.axes) state.axes.push_back(axis.key);
  for (const SweepRun& run : runs) {
    SweepEntry entry{.name = run.name, .values = {}, .error = {}, .run = {}};
    for (std::size_t a = 0; a < run.value.size(); ++a) entry.values.push_back(sweep.value_text(a, run.value[a]));
    const fs::path folder = run.config.out;
    FinishedRun found = read_finished_run(folder);
    entry.error = found.damage;
    if (found.files) {
      entry.run = std::move(found.files);
      entry.status = SweepEntry::Status::done;
      check_same_config(folder, entry.run->config, run.config);
    } else if (const auto saved = saved_config(folder)) {
      check_same_config(folder, *saved, run.config);
    }
    state.entries.push_back(std::move(entry));
  }
  return state;
}

/// What a run in a sweep tells: its place for the status line, notes only to those who ask for details.
class SweepRunner::Observer : public TuneObserver {
 public:
  Observer(SweepRunner& runner, Worker& worker, const std::string& name)
      : runner_(runner), worker_(worker), name_(name) {}
  void stage(std::string_view name) override { show(std::string(name)); }
  void layer_started(int position, int count, const std::string&, std::int64_t, const Mailbox&) override {
    show(fmt::format("layer {}/{}", position + 1, count));
  }
  void layer_finished(int, int, const std::string&, std::int64_t, std::int64_t) override {}
  void note(const std::string& sentence) override { spdlog::debug("{}: {}", name_, sentence); }

 private:
  void show(const std::string& what) {
    const std::lock_guard lock(runner_.mutex_);
    worker_.status = fmt::format("{} {}", name_, what);
  }

  SweepRunner& runner_;
  Worker& worker_;
  const std::string& name_;
};

SweepRunner::SweepRunner(const SweepFile& sweep, const std::vector<SweepRun>& runs, int jobs, Terminal& terminal,
                         const OutputOptions& output)
    : sweep_(sweep),
      runs_(runs),
      output_(output),
      terminal_(terminal),
      folder_(sweep.out),
      results_(sweep_state(sweep, runs)),
      failures_(runs.size()) {
  write_file_atomically(folder_.file("sweep.json"), sweep_json(results_));
  shared_.folder = folder_.file("shared");
  to_do_ = runs.size() - results_.count(SweepEntry::Status::done);
  const auto useful = std::min<std::size_t>(static_cast<std::size_t>(jobs), std::max<std::size_t>(to_do_, 1));
  for (std::size_t w = 0; w < useful; ++w) workers_.push_back(std::make_unique<Worker>());
}

SweepResults SweepRunner::run() {
  if (to_do_ < runs_.size()) {
    spdlog::info("{} of {} runs are done already", runs_.size() - to_do_, runs_.size());
  }
  for (const SweepEntry& entry : results_.entries) {
    if (!entry.error.empty()) spdlog::warn("{}; this run is done again", entry.error);
  }
  {
    std::jthread watcher([this] { watch(); });
    std::vector<std::jthread> threads;
    try {
      for (const auto& worker : workers_) threads.emplace_back([this, &worker] { work(*worker); });
    } catch (const std::system_error& error) {
      spdlog::warn("{} of {} jobs at a time: {}", std::max<std::size_t>(threads.size(), 1), workers_.size(),
                   error.code().message());
    }
    if (threads.empty()) work(*workers_.front());
    for (std::jthread& thread : threads) thread.join();
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  terminal_.status("");
  if (fatal_) std::rethrow_exception(fatal_);
  try {
    measure_sensitivity();
  } catch (const Error& error) {
    spdlog::warn("the page will lack the layers' sensitivity: {}", error.what());
  }
  write_sweep_results(results_);
  const std::size_t done = results_.count(SweepEntry::Status::done);
  require(signals_.received() == 0 || results_.count(SweepEntry::Status::open) == 0, ErrorKind::interrupted,
          "interrupted with {} of {} runs done; everything is saved, the same command goes on", done, runs_.size());
  return results_;
}

void SweepRunner::measure_sensitivity() {
  const fs::path folder = folder_.file("sensitivity");
  const bool by_runs = runs_.front().config.search.order == "sensitivity";
  if (by_runs || signals_.received() > 0 || !results_.entries.front().run || fs::exists(folder / "sensitivity.json")) {
    return;
  }
  spdlog::info("sensitivity of the layers in {}", runs_.front().name);
  Worker& worker = *workers_.front();
  Config config = runs_.front().config;
  config.out = folder.string();
  if (!worker.backend) worker.backend = make_backend(config.backend, BackendOptions::of(config));
  RunContext run = make_run(config, *inputs_for(worker, config), worker.backend);
  run.request.shared = &shared_;
  run.request.stop = &signals_.flag();  // the watcher has gone
  Observer observer(*this, worker, runs_.front().name);
  analyse_sensitivity(run.request, observer);
}

std::optional<ErrorKind> SweepRunner::first_failure() const {
  for (const auto& failure : failures_) {
    if (failure) return failure;
  }
  return std::nullopt;
}

void SweepRunner::watch() {
  bool told = false;
  for (;; std::this_thread::sleep_for(kWatchEvery)) {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    if (signals_.received() > 0 || fatal_) {
      for (const auto& worker : workers_) worker->stop = true;
      if (!told && !fatal_) spdlog::warn("interrupted: finishing the current step of every run and saving");
      told = true;
    }
    if (!output_.quiet) terminal_.status(status_line());
  }
}

std::string SweepRunner::status_line() {
  std::string text = fmt::format("{}/{} runs", ended_, to_do_);
  if (ended_ > 0) {
    const double left = seconds_since(began_) / static_cast<double>(ended_) * static_cast<double>(to_do_ - ended_);
    text += fmt::format(" ETA {}", duration_text(left));
  }
  for (const auto& worker : workers_) {
    if (!worker->status.empty()) text += " | " + worker->status;
  }
  return text;
}

void SweepRunner::work(Worker& worker) {
  for (;;) {
    std::size_t i = 0;
    {
      const std::lock_guard lock(mutex_);
      while (next_ < runs_.size() && results_.entries[next_].status == SweepEntry::Status::done) ++next_;
      if (fatal_ || signals_.received() > 0 || next_ == runs_.size()) return;
      i = next_++;
      worker.stop = false;
    }
    try {
      run_one(worker, i);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!fatal_) fatal_ = std::current_exception();
    }
  }
}

void SweepRunner::run_one(Worker& worker, std::size_t i) {
  const Config& config = runs_[i].config;
  if (!worker.backend) worker.backend = make_backend(config.backend, BackendOptions::of(config));
  require(workers_.size() == 1 || worker.backend->name() != "cuda", ErrorKind::usage,
          "--jobs: more than one run at a time works on the host only; add --backend host or leave --jobs out");
  std::string outcome;
  try {
    outcome = do_run(worker, i);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::interrupted) outcome = failed(i, error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    outcome = failed(i, ErrorKind::device,
                     "out of memory: the run needs more than this machine grants; fewer --jobs need less");
  } catch (const std::exception& error) {
    outcome = failed(i, ErrorKind::internal, fmt::format("internal error: {}", error.what()));
  }
  const std::lock_guard lock(mutex_);
  worker.status.clear();
  if (outcome.empty()) return;  // interrupted: it stays open
  ++ended_;
  spdlog::info("run {}/{} {}: {}", ended_, to_do_, runs_[i].name, outcome);
  write_results_if_due();
}

std::string SweepRunner::do_run(Worker& worker, std::size_t i) {
  const Clock::time_point begun = Clock::now();
  const StopScope scope(&worker.stop);
  const Config& config = runs_[i].config;
  if (config.threads > 0) omp_set_num_threads(static_cast<int>(config.threads));  // of this worker's own teams
  RunContext run = make_run(config, *inputs_for(worker, config), worker.backend);
  run.request.shared = &shared_;
  run.request.resume = true;  // from a checkpoint, if there is one
  run.request.stop = &worker.stop;
  Observer observer(*this, worker, runs_[i].name);
  const TuneResult result = tune(run.request, observer);
  write_results(run, result, sweep_.origin);
  RunFiles files = read_run_files(config.out, false);

  const std::lock_guard lock(mutex_);
  const std::string outcome =
      fmt::format("nearest {}, tuned {}, {}", percent_text(files.score("nearest", "test").value),
                  percent_text(files.score("tuned", "test").value), duration_text(seconds_since(begun)));
  results_.entries[i].run = std::move(files);
  results_.entries[i].status = SweepEntry::Status::done;
  results_.entries[i].error.clear();
  return outcome;
}

std::string SweepRunner::failed(std::size_t i, ErrorKind kind, const std::string& sentence) {
  const std::lock_guard lock(mutex_);
  SweepEntry& entry = results_.entries[i];
  const bool damaged = !entry.error.empty();
  entry.status = SweepEntry::Status::failed;
  entry.error = sentence;
  if (damaged) entry.error += "; what is left of this run cannot be gone on with: move its folder away";
  failures_[i] = kind;
  return "failed: " + entry.error;
}

void SweepRunner::write_results_if_due() {
  if (seconds_since(written_) < write_seconds_ / kShareOfWriting) return;
  const Clock::time_point begun = Clock::now();
  write_sweep_results(results_);
  written_ = Clock::now();
  write_seconds_ = seconds_since(begun);
}

std::shared_ptr<const RunInputs> SweepRunner::inputs_for(Worker& worker, const Config& config) {
  const std::string key = inputs_key(config);
  if (worker.inputs && worker.inputs_key == key) return worker.inputs;
  worker.inputs.reset();
  const std::lock_guard loading(loading_);
  {
    const std::lock_guard lock(mutex_);
    worker.inputs = inputs_[key].lock();
  }
  if (!worker.inputs) {
    worker.inputs = std::make_shared<const RunInputs>(load_inputs(config));
    const std::lock_guard lock(mutex_);
    inputs_[key] = worker.inputs;
    check_done_runs(key, *worker.inputs);
    if (fatal_) fail(ErrorKind::interrupted, "the sweep ends");
  }
  worker.inputs_key = key;
  return worker.inputs;
}

void SweepRunner::check_done_runs(const std::string& key, const RunInputs& inputs) {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    if (!results_.entries[i].run || inputs_key(runs_[i].config) != key) continue;
    const nlohmann::json& report = results_.entries[i].run->report;
    const auto compare = [&](const char* what, const nlohmann::json& saved, const std::string& now) {
      if (saved.at("fingerprint") == now || fatal_) return;
      fatal_ = std::make_exception_ptr(Error(
          ErrorKind::usage, fmt::format("{}: was made with another {} than there is now; choose another --out for "
                                        "the sweep, or move the run away",
                                        runs_[i].config.out, what)));
    };
    compare("model", report.at("model"), inputs.graph->fingerprint);
    compare("training set", report.at("data").at("train"), inputs.data.train->fingerprint());
    compare("test set", report.at("data").at("test"), inputs.data.test->fingerprint());
  }
}

}  // namespace qnudge
