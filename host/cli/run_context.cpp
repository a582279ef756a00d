// SPDX-License-Identifier: MIT
#include "qnudge/cli/run_context.hpp"

#include <spdlog/spdlog.h>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/progress.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/html_page.hpp"
#include "qnudge/report/pages.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

Progress::Options progress_options(const RunContext& run, const OutputOptions& output, const StopSignals& signals) {
  const Config& config = run.request.config;
  const IntNetwork network = lower(*run.graph, batch_norm_mode(config.quant));
  return {.fitness = population_options(config).fitness,
          .images = config.data.fitness,
          .offspring = config.search.offspring,
          .by_channel = config.search.strategy == "channel" || config.search.strategy == "gram",
          .leaky = config.protocol == "paper",
          .show = !output.quiet,
          .costs = search_costs(network, config.search.skip),
          .signals = &signals};
}

}  // namespace

RunInputs load_inputs(const Config& config, const std::string& origin) {
  RunInputs inputs;
  check_files_exist(config, origin);
  inputs.graph = load_graph(config);
  check_before_reading(config, *inputs.graph);
  Config scaled = config;
  inputs.data = open_datasets(scaled);
  inputs.series = scaled.data.series;
  for (const auto& dataset : {inputs.data.train, inputs.data.test}) {
    check_model_fits_data(config.model, inputs.graph->input_shape(), inputs.graph->output_shape().size(), *dataset);
  }
  inputs.float_pass = make_float_pass(inputs.graph, static_cast<int>(config.threads));
  return inputs;
}

RunContext make_run(const Config& config, const RunInputs& inputs, std::shared_ptr<Backend> backend) {
  RunContext run;
  run.graph = inputs.graph;
  run.backend = std::move(backend);
  TuneRequest& request = run.request;
  request.config = config;
  request.config.data.series = inputs.series;
  request.graph = run.graph.get();
  request.train = inputs.data.train;
  request.test = inputs.data.test;
  request.backend = run.backend.get();
  request.float_pass = inputs.float_pass;
  request.folder = config.out;
  return run;
}

RunContext load_run(const Config& config, const std::string& origin) {
  check_run_folder_name(config);
  check_output_folder(config.out);
  return with_stop_sentence(
      "interrupted while model and data were read; nothing is saved yet, the same command begins anew", [&] {
        std::shared_ptr<Backend> backend = make_backend(config.backend, BackendOptions::of(config));
        return make_run(config, load_inputs(config, origin), std::move(backend));
      });
}

RunReport write_results(const RunContext& run, const TuneResult& result, const std::string& config_file) {
  const Config& config = run.request.config;
  const ReportContext context{.config_file = config_file,
                              .folder = config.out,
                              .protocol = config.protocol,
                              .seed = config.seed,
                              .activations = config.quant.activations,
                              .backend = run.backend->name(),
                              .device = run.backend->device(),
                              .graphs = graph_usage(*run.backend),
                              .model = config.model,
                              .model_fingerprint = run.graph->fingerprint,
                              .train_data = run.request.train->description(),
                              .train_fingerprint = run.request.train->fingerprint(),
                              .test_data = run.request.test->description(),
                              .test_fingerprint = run.request.test->fingerprint()};
  RunReport report = make_run_report(result, context, config.search.gate && config.stop.rule != "budget");
  const std::filesystem::path& folder = run.request.folder;
  write_file_atomically(folder / "report.json", report_json(report));
  write_file_atomically(folder / "report.html", run_page(read_run_files(folder), plotting_library()));
  return report;
}

void announce(const RunContext& run) {
  const Config& config = run.request.config;
  std::int64_t layers = 0, parameters = 0;
  for (const Node& node : run.graph->nodes) {
    layers += node.layer() != nullptr;
    parameters += node.layer() != nullptr ? static_cast<std::int64_t>(node.layer()->weights.size()) : 0;
  }
  spdlog::info("model    {}: {} layers, {} weights", config.model, layers, count_text(parameters));
  spdlog::info("training {}", run.request.train->description());
  spdlog::info("test     {}", run.request.test->description());
  spdlog::info("device   {}", run.backend->device());
  spdlog::info("folder   {}", config.out);
}

void observe(RunContext& run, Terminal& terminal, const OutputOptions& output, StopSignals& signals,
             const std::function<void(TuneObserver&)>& work) {
  run.request.stop = &signals.flag();
  Progress progress(terminal, progress_options(run, output, signals));
  work(progress);
}

}  // namespace qnudge
