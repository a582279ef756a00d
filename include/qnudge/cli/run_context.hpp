// SPDX-License-Identifier: MIT
#pragma once

#include <functional>
#include <memory>

#include "qnudge/cli/command.hpp"
#include "qnudge/search/tune.hpp"

namespace qnudge {

/// Everything that a run needs, loaded and checked against each other; `request` points into it.
struct RunContext {
  std::shared_ptr<const Graph> graph;
  std::unique_ptr<Backend> backend;
  TuneRequest request;  ///< without `resume` and `stop`
};

RunContext load_run(const RunOptions& options);

/// Logs model, data, device and folder.
void announce(const RunContext& run);

/// What SIGINT and SIGTERM do: a resumable run saves and stops, anything else simply ends.
enum class OnSignal { stop_run, end_process };

/// Runs `work` with progress shown and the request's stop flag set up.
void observe(RunContext& run, Terminal& terminal, const OutputOptions& output, OnSignal on_signal,
             const std::function<void(TuneObserver&)>& work);

}  // namespace qnudge
