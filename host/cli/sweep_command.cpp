// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "qnudge/cli/command.hpp"
#include "qnudge/cli/sweep_estimate.hpp"
#include "qnudge/cli/sweep_runner.hpp"
#include "qnudge/report/format.hpp"

namespace qnudge {
namespace {

constexpr std::uint64_t kAskAbove = 1000;  // runs: --yes says that they are meant
constexpr std::size_t kMostListed = 100;   // runs of a plan

struct SweepOptions {
  RunOptions run;
  int jobs = 1;
  bool dry_run = false, yes = false;
};

/// The sweep file with the command line's word over it.
SweepFile load_sweep(const SweepOptions& options) {
  SweepFile sweep = read_sweep(options.run.config, options.run.overrides, options.run.out);
  require(options.yes || sweep.combinations <= kAskAbove, ErrorKind::usage,
          "{}: {} combinations, more than {}; add --yes if you mean it", sweep.origin,
          count_text(static_cast<std::int64_t>(sweep.combinations)), count_text(kAskAbove));
  return sweep;
}

std::vector<SweepRun> load_runs(const SweepFile& sweep, const SweepOptions& options) {
  std::vector<SweepRun> runs = sweep_runs(sweep);
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (SweepRun& run : runs) {
    if (!options.run.backend.empty()) run.config.backend = options.run.backend;
    if (options.run.threads >= 0) run.config.threads = options.run.threads;
    if (run.config.threads == 0 && options.jobs > 1) run.config.threads = std::max(1, cores / options.jobs);
  }
  return runs;
}

std::string axes_text(const SweepFile& sweep, std::size_t runs) {
  std::vector<std::string> parts;
  for (const SweepAxis& axis : sweep.axes) parts.push_back(fmt::format("{} x {}", axis.values.size(), axis.key));
  const std::uint64_t excluded = sweep.combinations - runs;
  return fmt::format("{} runs: {}{}", count_text(static_cast<std::int64_t>(runs)), fmt::join(parts, ", "),
                     excluded > 0 ? fmt::format(", {} excluded", excluded) : "");
}

int show_plan(const SweepFile& sweep, const std::vector<SweepRun>& runs, const SweepOptions& options,
              Terminal& terminal, const OutputOptions& output) {
  const SweepResults state = sweep_state(sweep, runs);
  const SweepEstimate estimate = estimate_sweep(runs, state);
  const double seconds = estimate.seconds / options.jobs;
  if (output.json) {
    nlohmann::ordered_json plan = {{"folder", sweep.out}, {"runs", nlohmann::ordered_json::array()}};
    for (const SweepEntry& entry : state.entries) {
      plan["runs"].push_back({{"run", entry.name}, {"status", entry.run ? "done" : "open"}});
    }
    plan["estimated_seconds"] = seconds;
    plan["estimate"] = estimate.source;
    terminal.out() << plan.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
    return 0;
  }
  terminal.out() << fmt::format("{}\nfolder {}\n\n", axes_text(sweep, runs.size()), sweep.out);
  for (std::size_t i = 0; i < std::min(state.entries.size(), kMostListed); ++i) {
    terminal.out() << fmt::format("{}  {}\n", state.entries[i].run ? "done" : "open", state.entries[i].name);
  }
  if (runs.size() > kMostListed) terminal.out() << fmt::format("and {} more\n", runs.size() - kMostListed);
  const std::size_t open = runs.size() - state.count(SweepEntry::Status::done);
  terminal.out() << fmt::format("\nabout {} for {} open runs, {} at a time; {}\n", duration_text(seconds), open,
                                options.jobs, estimate.source);
  return 0;
}

int run_sweep(const SweepOptions& options, Terminal& terminal, const OutputOptions& output) {
  const SweepFile sweep = load_sweep(options);
  const std::vector<SweepRun> runs = load_runs(sweep, options);
  if (options.dry_run) return show_plan(sweep, runs, options, terminal, output);
  SweepRunner runner(sweep, runs, options.jobs, terminal, output);
  const SweepResults results = runner.run();
  if (output.json) {
    terminal.out() << sweep_summary_json(results);
  } else {
    terminal.out() << sweep_text(results)
                   << fmt::format("written to {}: results.csv, results.jsonl, report.html\n", sweep.out);
  }
  const auto failure = runner.first_failure();
  return failure ? static_cast<int>(*failure) : 0;
}

}  // namespace

Action add_sweep(CLI::App& app) {
  const auto options = std::make_shared<SweepOptions>();
  add_config_options(app, options->run);
  app.get_option("CONFIG")->description("Sweep file (JSON): base, axes, exclude, out; see docs/sweeps.md");
  add_backend_option(app, options->run);
  add_out_option(app, options->run);
  app.get_option("--out")->description("Sweep folder (default: the sweep file's, or runs/<its name>)");
  app.add_option("--jobs", options->jobs, "Runs at a time, on the host; the cores are divided among them")
      ->type_name("N")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--dry-run", options->dry_run, "Show the plan and how long it will take; write nothing");
  app.add_flag("--yes", options->yes, "Go ahead with more than 1,000 combinations");
  return [options](Terminal& terminal, const OutputOptions& output) { return run_sweep(*options, terminal, output); };
}

}  // namespace qnudge
