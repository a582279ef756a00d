// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <memory>
#include <string>

#include "qnudge/cli/load.hpp"
#include "qnudge/cli/terminal.hpp"

namespace qnudge {

/// How a command speaks; every command has these flags.
struct OutputOptions {
  bool quiet = false;    ///< nothing but the result and errors
  bool verbose = false;  ///< details too
  bool json = false;     ///< the result as JSON on stdout, and nothing else there
};

/// Runs a parsed command; returns the exit code. Throws Error.
using Action = std::function<int(Terminal&, const OutputOptions&)>;

/// Each declares the arguments of one command and returns what runs it.
Action add_tune(CLI::App& app);
Action add_sweep(CLI::App& app);
Action add_report(CLI::App& app);
Action add_eval(CLI::App& app);
Action add_sensitivity(CLI::App& app);
Action add_inspect(CLI::App& app);
Action add_check(CLI::App& app);
Action add_devices(CLI::App& app);
Action add_bench(CLI::App& app);

/// Options shared by the commands that read a config: CONFIG (required unless told), --set, --threads.
void add_config_options(CLI::App& app, RunOptions& options, bool config_required = true);
void add_backend_option(CLI::App& app, RunOptions& options);
void add_out_option(CLI::App& app, RunOptions& options);

}  // namespace qnudge
