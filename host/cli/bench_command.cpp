// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"
#include "qnudge/cli/quality_bench.hpp"
#include "qnudge/cli/tuning_bench.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/report/version.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

struct BenchOptions {
  RunOptions run;
  std::vector<std::string> layers = {"all"};
  int generations = 4, repeats = 3;
  bool scaling = false;
};

/// What was measured, with what.
struct BenchResult {
  std::string device;
  TuningTimes times;
  std::optional<TuningTimes> one_thread;
  std::int64_t peak_bytes = 0;
};

std::vector<int> chosen_layers(const IntNetwork& network, const std::vector<std::string>& names) {
  const bool all = names == std::vector<std::string>{"all"};
  std::vector<int> chosen;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const Layer& layer = network.layers[l];
    const bool named = std::find(names.begin(), names.end(), layer.name) != names.end();
    if (layer.tunable && (all || named)) chosen.push_back(static_cast<int>(l));
  }
  for (const std::string& name : names) {
    const bool known =
        all || std::any_of(chosen.begin(), chosen.end(), [&](int l) { return network.layer(l).name == name; });
    require(known, ErrorKind::usage, "--layers: no tunable layer is called '{}'; 'qnudge inspect' lists the names",
            name);
  }
  return chosen;
}

std::int64_t peak_memory_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{1024} * usage.ru_maxrss;
}

BenchResult measure(const BenchOptions& options, Config config) {
  const auto threads = static_cast<int>(config.threads);
  const auto backend = make_backend(config.backend, threads);
  const auto graph = load_graph(config);
  const Datasets data = open_datasets(config.data);
  Config lean = config;
  lean.data.test = 1;  // nothing is evaluated on test images
  Prepared prepared = prepare_network(lean, *graph, *data.train, *data.test, make_float_pass(graph, threads), {});
  IntNetwork& network = prepared.network;
  const std::vector<LayerParams> params = nearest_params(network, config.quant);
  for (std::size_t l = 0; l < params.size(); ++l) network.layers[l].params = params[l];
  const Splits& splits = prepared.splits;
  const ImageSet images = make_image_set(network, splits.fitness_from_test ? *data.test : *data.train, splits.fitness,
                                         &prepared.reference.fitness);
  const BenchPlan plan{
      .layers = chosen_layers(network, options.layers), .generations = options.generations, .repeats = options.repeats};
  spdlog::info("{}: layers {}, offspring {}, images {}, generations {}, repeats {}", backend->device(),
               plan.layers.size(), config.search.offspring, images.count, plan.generations, plan.repeats);
  BenchResult result{.device = backend->device(), .times = {}, .one_thread = {}};
  result.times = time_tuning(network, *open_session(*backend, network), images, population_options(config), plan);
  result.peak_bytes = peak_memory_bytes();
  if (options.scaling) {
    spdlog::info("again with one thread");
    const auto single = make_backend(config.backend, 1);
    result.one_thread = time_tuning(network, *open_session(*single, network), images, population_options(config), plan);
  }
  return result;
}

std::string bench_text(const BenchResult& result) {
  const TuningTimes& times = result.times;
  const auto milliseconds = [](double seconds) { return fmt::format("{:.2f}", 1000 * seconds); };
  TextTable table({{"layer", TextTable::Align::left},
                   {"candidate-images/s"},
                   {"generation ms"},
                   {"mutate ms"},
                   {"evaluate ms"},
                   {"select ms"},
                   {"prefix ms"}});
  const auto population = static_cast<double>(times.images * times.offspring);
  for (const LayerTiming& layer : times.layers) {
    table.add({layer.name, rate_text(population / layer.generation_seconds()), milliseconds(layer.generation_seconds()),
               milliseconds(layer.mutate_seconds), milliseconds(layer.evaluate_seconds),
               milliseconds(layer.select_seconds), milliseconds(layer.prepare_seconds)});
  }
  std::string text = fmt::format("{}\n{} offspring x {} images per generation\n\n{}\n", result.device, times.offspring,
                                 count_text(times.images), table.text());
  text += fmt::format("tuning          {} candidate-images/s over all these layers\n",
                      rate_text(times.candidate_images_per_second()));
  text += fmt::format("plain inference {} images/s by the same executor; tuning is {:.2f} times that\n",
                      rate_text(times.inference_images_per_second()),
                      times.candidate_images_per_second() / times.inference_images_per_second());
  text += fmt::format("mutation        {:.2f} % of a generation's time\n", 100 * times.mutation_share());
  text += fmt::format("peak memory     {}\n", bytes_text(result.peak_bytes));
  if (result.one_thread) {
    const double single = result.one_thread->candidate_images_per_second();
    text += fmt::format("one thread      {} candidate-images/s; all threads are {:.2f} times that\n", rate_text(single),
                        times.candidate_images_per_second() / single);
  }
  return text;
}

std::string bench_json(const BenchOptions& options, const Config& config, const BenchResult& result) {
  const TuningTimes& times = result.times;
  Json json = {{"version", kVersion},
               {"config", options.run.config},
               {"model", config.model},
               {"device", result.device},
               {"offspring", times.offspring},
               {"images", times.images},
               {"generations", options.generations},
               {"repeats", options.repeats},
               {"candidate_images_per_second", times.candidate_images_per_second()},
               {"inference_images_per_second", times.inference_images_per_second()},
               {"mutation_share", times.mutation_share()},
               {"peak_memory_bytes", result.peak_bytes}};
  if (result.one_thread) {
    json["one_thread_candidate_images_per_second"] = result.one_thread->candidate_images_per_second();
  }
  json["layers"] = Json::array();
  for (const LayerTiming& layer : times.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"prepare_seconds", layer.prepare_seconds},
                              {"start_seconds", layer.start_seconds},
                              {"mutate_seconds", layer.mutate_seconds},
                              {"evaluate_seconds", layer.evaluate_seconds},
                              {"select_seconds", layer.select_seconds}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

int run_tuning_bench(const BenchOptions& options, Terminal& terminal, const OutputOptions& output) {
  const Config config = load_config(options.run);
  const BenchResult result = measure(options, config);
  terminal.out() << (output.json ? bench_json(options, config, result) : bench_text(result));
  return 0;
}

Action add_tuning_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchOptions>();
  add_config_options(app, options->run);
  add_backend_option(app, options->run);
  app.add_option("--layers", options->layers, "Layers to time, by name, or all")
      ->type_name("NAME[,NAME]")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  app.add_option("--generations", options->generations, "Generations per layer and repeat")
      ->type_name("G")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--repeats", options->repeats, "Repeats; times are their medians")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--scaling", options->scaling, "Measure with one thread too");
  return [options](Terminal& terminal, const OutputOptions& output) {
    return run_tuning_bench(*options, terminal, output);
  };
}

}  // namespace

Action add_bench(CLI::App& app) {
  const auto chosen = std::make_shared<Action>();
  const auto add = [&](const char* name, const char* summary, Action (*add_what)(CLI::App&)) {
    CLI::App& what = *app.add_subcommand(name, summary);
    what.fallthrough();  // --json and --quiet are bench's own
    what.final_callback([chosen, action = add_what(what)] { *chosen = action; });
  };
  add("tuning", "Candidate-images per second of the layer-wise search", add_tuning_bench);
  add("quality",
      "What each method is worth: one table of accuracies over bit widths and seeds; of the search keys, only those "
      "given by --set count",
      add_quality_bench);
  return [chosen](Terminal& terminal, const OutputOptions& output) {
    require(static_cast<bool>(*chosen), ErrorKind::usage,
            "bench: say what, tuning or quality; see 'qnudge bench --help'");
    return (*chosen)(terminal, output);
  };
}

}  // namespace qnudge
