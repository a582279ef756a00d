// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>

#include "qnudge/cli/command.hpp"
#include "qnudge/cli/signals.hpp"
#include "qnudge/report/run_report.hpp"
#include "qnudge/search/tune.hpp"

namespace qnudge {

/// Model and data of a config, checked against each other; runs that name the same ones can share them.
struct RunInputs {
  std::shared_ptr<const Graph> graph;
  Datasets data;
  SeriesConfig series;  ///< the config's, with the scaling that was fitted
  FloatPass float_pass;
};
/// What can be told without reading the data is checked first. `origin` names the config in messages; empty: none.
RunInputs load_inputs(const Config& config, const std::string& origin = {});

/// Everything that a run needs; `request` points into it.
struct RunContext {
  std::shared_ptr<const Graph> graph;
  std::shared_ptr<Backend> backend;
  TuneRequest request;  ///< without `resume` and `stop`
};

RunContext make_run(const Config& config, const RunInputs& inputs, std::shared_ptr<Backend> backend);
/// The folder is checked, the model read, then the data.
RunContext load_run(const Config& config, const std::string& origin);

/// report.json and report.html of a run that has ended, in its folder; `config_file` is what the user named.
RunReport write_results(const RunContext& run, const TuneResult& result, const std::string& config_file);

/// Logs model, data, device and folder.
void announce(const RunContext& run);

/// Runs `work` with progress shown; `signals` stop it.
void observe(RunContext& run, Terminal& terminal, const OutputOptions& output, StopSignals& signals,
             const std::function<void(TuneObserver&)>& work);

}  // namespace qnudge
