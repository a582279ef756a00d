// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "qnudge/cli/command.hpp"
#include "qnudge/cli/run_context.hpp"
#include "qnudge/report/run_report.hpp"
#include "qnudge/search/run_folder.hpp"

namespace qnudge {
namespace {

struct TuneOptions {
  RunOptions run;
  bool resume = false;
};

int run_tune(const TuneOptions& options, Terminal& terminal, const OutputOptions& output) {
  StopSignals signals;
  const Config config = load_config(options.run);
  RunFolder::check(config.out, options.resume);
  RunContext run = load_run(config, options.run.config);
  run.request.resume = options.resume;
  announce(run);
  TuneResult result;
  observe(run, terminal, output, signals, [&](TuneObserver& observer) { result = tune(run.request, observer); });

  const RunReport report = write_results(run, result, options.run.config);
  if (output.json) {
    terminal.out() << report_json(report);
  } else {
    terminal.out() << report_text(report);
    terminal.out() << fmt::format("{:<16}{}: tuned.onnx, report.json, report.html\n", "written to",
                                  run.request.config.out);
  }
  return 0;
}

}  // namespace

Action add_tune(CLI::App& app) {
  const auto options = std::make_shared<TuneOptions>();
  add_config_options(app, options->run);
  add_backend_option(app, options->run);
  add_out_option(app, options->run);
  app.add_flag("--resume", options->resume, "Go on from the checkpoint in the run folder");
  return [options](Terminal& terminal, const OutputOptions& output) { return run_tune(*options, terminal, output); };
}

}  // namespace qnudge
