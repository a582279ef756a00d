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

/// Runs `work` with progress shown and signals routed to the request's stop flag.
void observe(RunContext& run, Terminal& terminal, const OutputOptions& output,
             const std::function<void(TuneObserver&)>& work);

}  // namespace qnudge
