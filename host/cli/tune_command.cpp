// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "qnudge/cli/command.hpp"
#include "qnudge/cli/run_context.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/run_report.hpp"

namespace qnudge {
namespace {

struct TuneOptions {
  RunOptions run;
  bool resume = false;
};

ReportContext report_context(const RunContext& run, const std::string& config_file) {
  const Config& config = run.request.config;
  return {.config_file = config_file,
          .folder = config.out,
          .protocol = config.protocol,
          .seed = config.seed,
          .backend = run.backend->name(),
          .device = run.backend->device(),
          .model = config.model,
          .model_fingerprint = run.graph->fingerprint,
          .train_data = run.request.train->description(),
          .train_fingerprint = run.request.train->fingerprint(),
          .test_data = run.request.test->description(),
          .test_fingerprint = run.request.test->fingerprint()};
}

int run_tune(const TuneOptions& options, Terminal& terminal, const OutputOptions& output) {
  RunContext run = load_run(options.run);
  run.request.resume = options.resume;
  announce(run);
  TuneResult result;
  observe(run, terminal, output, OnSignal::stop_run,
          [&](TuneObserver& observer) { result = tune(run.request, observer); });

  const Config& config = run.request.config;
  const RunReport report = make_run_report(result, report_context(run, options.run.config),
                                           config.search.gate && config.stop.rule != "budget");
  const std::string json = report_json(report);
  write_file_atomically(run.request.folder / "report.json", json);
  if (output.json) {
    terminal.out() << json;
  } else {
    terminal.out() << report_text(report);
    terminal.out() << fmt::format("{:<16}{}: tuned.onnx, report.json\n", "written to", config.out);
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
