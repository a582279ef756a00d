// SPDX-License-Identifier: MIT
#pragma once

#include <CLI/App.hpp>
#include <CLI/Option.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

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
/// For an option that may be repeated and takes one value each time.
CLI::Option* one_a_flag(CLI::Option* option);
/// The arguments with --set before each of several KEY=VALUE that follow one; a file of that name is no such value.
std::vector<const char*> with_every_set_named(int argc, const char* const* argv);
void add_backend_option(CLI::App& app, RunOptions& options);
void add_out_option(CLI::App& app, RunOptions& options);

}  // namespace qnudge
