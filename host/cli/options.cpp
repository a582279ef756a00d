// SPDX-License-Identifier: MIT
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"

namespace qnudge {

void add_config_options(CLI::App& app, RunOptions& options, bool config_required) {
  app.add_option("CONFIG", options.config, "Config file (JSON); configs/README.md lists its keys")
      ->type_name("")
      ->required(config_required);
  app.add_option("--set", options.overrides, "Override one key, e.g. search.generations=16 (repeatable)")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--threads", options.threads, "Threads of the host backend (0: all cores)")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
}

void add_backend_option(CLI::App& app, RunOptions& options) {
  app.add_option("--backend", options.backend, "Where to compute")
      ->type_name("NAME")
      ->check(CLI::IsMember(backend_names()));
}

void add_out_option(CLI::App& app, RunOptions& options) {
  app.add_option("--out", options.out, "Run folder (default: the config's, or runs/<config name>)")->type_name("DIR");
}

}  // namespace qnudge
