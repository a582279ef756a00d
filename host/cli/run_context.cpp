// SPDX-License-Identifier: MIT
#include "qnudge/cli/run_context.hpp"

#include <spdlog/spdlog.h>

#include <optional>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/progress.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

Progress::Options progress_options(const RunContext& run, const OutputOptions& output, const StopSignals* signals) {
  const Config& config = run.request.config;
  const IntNetwork network = lower(*run.graph, batch_norm_mode(config.quant));
  return {.fitness = population_options(config).fitness,
          .images = config.data.fitness,
          .by_channel = config.search.strategy == "channel" || config.search.strategy == "gram",
          .leaky = config.protocol == "paper",
          .show = !output.quiet,
          .costs = search_costs(network, config.search.skip),
          .signals = signals};
}

}  // namespace

RunContext load_run(const RunOptions& options) {
  RunContext run;
  TuneRequest& request = run.request;
  request.config = load_config(options);
  const auto threads = static_cast<int>(request.config.threads);
  run.backend = make_backend(request.config.backend, BackendOptions::of(request.config));
  run.graph = load_graph(request.config);
  const Datasets data = open_datasets(request.config);
  for (const auto& dataset : {data.train, data.test}) {
    check_model_fits_data(request.config.model, run.graph->input_shape(), run.graph->output_shape().size(), *dataset);
  }
  request.graph = run.graph.get();
  request.train = data.train;
  request.test = data.test;
  request.backend = run.backend.get();
  request.float_pass = make_float_pass(run.graph, threads);
  request.folder = request.config.out;
  return run;
}

void announce(const RunContext& run) {
  const Config& config = run.request.config;
  std::int64_t layers = 0, parameters = 0;
  for (const Node& node : run.graph->nodes) {
    layers += !node.weights.empty();
    parameters += static_cast<std::int64_t>(node.weights.size());
  }
  spdlog::info("model    {}: {} layers, {} weights", config.model, layers, count_text(parameters));
  spdlog::info("training {}", run.request.train->description());
  spdlog::info("test     {}", run.request.test->description());
  spdlog::info("device   {}", run.backend->device());
  spdlog::info("folder   {}", config.out);
}

void observe(RunContext& run, Terminal& terminal, const OutputOptions& output, OnSignal on_signal,
             const std::function<void(TuneObserver&)>& work) {
  std::optional<StopSignals> signals;
  StopFlag never{false};
  if (on_signal == OnSignal::stop_run) signals.emplace();
  run.request.stop = signals ? &signals->flag() : &never;
  Progress progress(terminal, progress_options(run, output, signals ? &*signals : nullptr));
  work(progress);
}

}  // namespace qnudge
