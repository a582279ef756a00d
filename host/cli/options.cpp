// SPDX-License-Identifier: MIT
#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <filesystem>
#include <string_view>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"

namespace qnudge {

CLI::Option* one_a_flag(CLI::Option* option) {
  // Any number but the one for which the parser's help would add "...".
  return option->allow_extra_args(false)->expected(1, CLI::detail::expected_max_vector_size / 2);
}

std::vector<const char*> with_every_set_named(int argc, const char* const* argv) {
  std::vector<const char*> arguments;
  bool value = false, more = false;  // the next one is --set's; further ones may be
  for (int i = 0; i < argc; ++i) {
    const std::string_view argument = argv[i];
    std::error_code unknown;
    const bool assignment = !argument.starts_with('-') && argument.find('=') != argument.npos &&
                            !std::filesystem::exists(argument, unknown);
    if (more && !value && assignment) arguments.push_back("--set");
    more = value || argument.starts_with("--set=") || (more && assignment);
    value = argument == "--set" && !value;
    arguments.push_back(argv[i]);
  }
  return arguments;
}

void add_config_options(CLI::App& app, RunOptions& options, bool config_required) {
  app.add_option("CONFIG", options.config, "Config file (JSON); configs/README.md lists its keys")
      ->type_name("")
      ->required(config_required);
  app.add_option("--set", options.overrides, "Override keys, e.g. search.generations=16")
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
