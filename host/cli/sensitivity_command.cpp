// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "qnudge/cli/command.hpp"
#include "qnudge/cli/run_context.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/search/checkpoint.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

std::string sensitivity_text(const Sensitivity& sensitivity, const Config& config) {
  const bool series = config.data.is_series();
  std::string text = fmt::format("One layer alone at {} bits, the others at {}; {}, least sensitive first\n\n",
                                 config.search.sensitivity_bits, rest_bits(config.quant),
                                 series ? "squared error on calibration windows" : "top-1 on calibration images");
  TextTable table({{"rank"}, {"layer", TextTable::Align::left}, {series ? "squared error" : "top-1"}, {"n"}});
  for (std::size_t i = 0; i < sensitivity.entries.size(); ++i) {
    const Sensitivity::Entry& entry = sensitivity.entries[i];
    table.add({fmt::format("{}", i + 1), entry.name,
               entry.squared_error ? fmt::format("{:.4g}", *entry.squared_error)
                                   : percent_text(static_cast<double>(entry.correct) / static_cast<double>(entry.n)),
               count_text(entry.n)});
  }
  return text + table.text();
}

int run_sensitivity(const RunOptions& options, Terminal& terminal, const OutputOptions& output) {
  StopSignals signals;
  RunContext run = load_run(load_config(options), options.config);
  announce(run);
  const bool kept = has_checkpoint(run.request.folder);
  Sensitivity sensitivity;
  observe(run, terminal, output, signals,
          [&](TuneObserver& observer) { sensitivity = analyse_sensitivity(run.request, observer); });
  const Config& config = run.request.config;
  if (output.json) {
    terminal.out() << sensitivity_json(sensitivity, config.search.sensitivity_bits, rest_bits(config.quant));
  } else {
    terminal.out() << sensitivity_text(sensitivity, config)
                   << (kept ? fmt::format("\nnot written: {} holds a run, which stays as it is\n", config.out)
                            : fmt::format("\nwritten to {}/sensitivity.json\n", config.out));
  }
  return 0;
}

}  // namespace

Action add_sensitivity(CLI::App& app) {
  const auto options = std::make_shared<RunOptions>();
  add_config_options(app, *options);
  add_backend_option(app, *options);
  add_out_option(app, *options);
  return [options](Terminal& terminal, const OutputOptions& output) {
    return run_sensitivity(*options, terminal, output);
  };
}

}  // namespace qnudge
