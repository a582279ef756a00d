// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"
#include "qnudge/cli/quality_bench.hpp"
#include "qnudge/cli/signals.hpp"
#include "qnudge/cli/tuning_bench.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/data/readers.hpp"
#include "qnudge/quant/residual.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/graph_usage_json.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/report/version.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

struct BenchOptions {
  RunOptions run;
  std::string strategy = "layer";
  bool noise = false;
  std::vector<std::string> layers = {"all"};
  int generations = 4, repeats = 3;
  bool scaling = false;
  std::vector<std::string> vary;  ///< KEY=VALUE,VALUE...
};

/// The same measurement with one key at another value.
struct VariedTimes {
  std::string setting;  ///< KEY=VALUE
  TuningTimes times;
  std::optional<GraphUsage> graphs;
};

/// What was measured, with what.
struct BenchResult {
  std::string device;
  TuningTimes times;
  std::optional<GraphUsage> graphs;  ///< nothing from backends that know none
  std::optional<TuningTimes> one_thread;
  std::int64_t peak_bytes = 0;
  std::vector<VariedTimes> varied;
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

/// The config's images, or noise in as many as it asks for.
Datasets bench_data(const BenchOptions& options, Config& config, const Graph& graph) {
  if (!options.noise) return open_datasets(config);
  const DataConfig& d = config.data;
  const std::int64_t classes = graph.output_shape().size(), of_test = d.gate_from == "test" ? d.gate : 0;
  const std::int64_t of_train = std::max(d.calibration, d.fitness) + d.gate - of_test;
  return {random_images(graph.input_shape(), of_train, classes, config.seed),
          random_images(graph.input_shape(), 1 + of_test, classes, config.seed + 1)};
}

/// What the chosen strategy works on, ready to be timed with any backend.
struct BenchProblem {
  const Config& config;
  const Prepared& prepared;
  ImageSet images;

  TuningTimes time(Backend& backend, const BenchPlan& plan) const {
    const std::unique_ptr<Session> session = open_session(backend, prepared.network);
    const ImagesHandle resident = session->upload(images);
    const auto open = [&](int layer) { return open_search(*session, resident, layer); };
    return time_tuning(prepared.network, *session, resident, config.search.offspring, open, plan);
  }
  std::unique_ptr<LayerSearch> open_search(Session& session, const ImagesHandle& resident, int layer) const {
    const Layer& l = prepared.network.layer(layer);
    const SearchConfig& search = config.search;
    const auto residual = search.mutation == "residual" ? residual_targets(l, l.params) : std::vector<std::int16_t>{};
    if (search.strategy == "layer") return session.prepare(layer, resident, population_options(config), residual);
    const LayerTargets targets = layer_targets(prepared, config.seed, layer);
    if (search.strategy == "channel") {
      return session.prepare_channels(layer, resident, targets, channel_options(config), residual);
    }
    const GramSums sums = session.gram_sums(layer, resident, targets);
    return session.prepare_gram(layer,
                                make_gram_form(prepared.network, l, l.params, sums, targets.exponent, search.damping),
                                gram_options(config));
  }
};

BenchResult measure(const BenchOptions& options, Config config) {
  const auto threads = static_cast<int>(config.threads);
  const auto backend = make_backend(config.backend, BackendOptions::of(config));
  const auto graph = load_graph(config);
  const Datasets data = bench_data(options, config, *graph);
  config.data.test = 1;  // nothing is evaluated on test images
  config.search.strategy = options.strategy;
  config.search.start = "nearest";
  Prepared prepared = prepare_network(config, *graph, *data.train, *data.test, make_float_pass(graph, threads), {});
  const std::vector<LayerParams> params = nearest_params(prepared.network, config.quant);
  for (std::size_t l = 0; l < params.size(); ++l) prepared.network.layers[l].params = params[l];
  const Splits& splits = prepared.splits;
  const bool fitness = options.strategy == "layer";
  const BenchProblem problem{config, prepared,
                             fitness
                                 ? make_image_set(prepared.network, splits.fitness_from_test ? *data.test : *data.train,
                                                  splits.fitness, &prepared.reference.fitness)
                                 : make_image_set(prepared.network, *data.train, splits.calibration, nullptr)};
  const BenchPlan plan{.layers = chosen_layers(prepared.network, options.layers),
                       .generations = options.generations,
                       .repeats = options.repeats};
  spdlog::info("{}: strategy {}, layers {}, offspring {}, images {}, generations {}, repeats {}", backend->device(),
               options.strategy, plan.layers.size(), config.search.offspring, problem.images.count, plan.generations,
               plan.repeats);
  BenchResult result{.device = backend->device(), .times = {}, .graphs = {}, .one_thread = {}};
  result.times = problem.time(*backend, plan);
  result.graphs = graph_usage(*backend);
  result.peak_bytes = peak_memory_bytes();
  if (options.scaling) {
    spdlog::info("again with one thread");
    const auto single = make_backend(config.backend, {.threads = 1, .device = config.device});
    result.one_thread = problem.time(*single, plan);
  }
  return result;
}

std::string varied_text(const std::vector<VariedTimes>& varied) {
  if (varied.empty()) return {};
  TextTable table({{"setting", TextTable::Align::left},
                   {"offspring"},
                   {"images"},
                   {"candidate-images/s"},
                   {"times plain inference"},
                   {"mutation %"}});
  for (const auto& [setting, times, graphs] : varied) {
    const double rate = times.candidate_images_per_second();
    table.add({setting, count_text(times.offspring), count_text(times.images), rate_text(rate),
               fmt::format("{:.2f}", rate / times.inference_images_per_second()),
               fmt::format("{:.2f}", 100 * times.mutation_share())});
  }
  return "\n" + table.text();
}

std::string graphs_text(const GraphUsage& usage) {
  std::string text = fmt::format("{} of {} measurements were one launch each", count_text(usage.one_launch),
                                 count_text(usage.one_launch + usage.one_by_one));
  for (const auto& [kind, number] : usage.nodes) text += fmt::format(", {} x {}", number, kind);
  for (const std::string& reason : usage.reasons) text += "; " + reason;
  return text;
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
                   {"prefix ms"},
                   {"start ms"}});
  const auto population = static_cast<double>(times.images * times.offspring);
  for (const LayerTiming& layer : times.layers) {
    table.add({layer.name, rate_text(population / layer.generation_seconds()), milliseconds(layer.generation_seconds()),
               milliseconds(layer.mutate_seconds), milliseconds(layer.evaluate_seconds),
               milliseconds(layer.select_seconds), milliseconds(layer.prepare_seconds),
               milliseconds(layer.start_seconds)});
  }
  std::string text = fmt::format("{}\n{} offspring x {} images per generation\n\n{}\n", result.device, times.offspring,
                                 count_text(times.images), table.text());
  text += fmt::format("tuning          {} candidate-images/s over all these layers\n",
                      rate_text(times.candidate_images_per_second()));
  text += fmt::format("plain inference {} images/s by the same executor; tuning is {:.2f} times that\n",
                      rate_text(times.inference_images_per_second()),
                      times.candidate_images_per_second() / times.inference_images_per_second());
  text += fmt::format("once per layer  {:.2f} s over all these layers, prefix and start\n", times.once_seconds());
  text += fmt::format("mutation        {:.2f} % of a generation's time\n", 100 * times.mutation_share());
  text += fmt::format("peak memory     {}\n", bytes_text(result.peak_bytes));
  if (result.graphs) text += fmt::format("graphs          {}\n", graphs_text(*result.graphs));
  if (result.one_thread) {
    const double single = result.one_thread->candidate_images_per_second();
    text += fmt::format("one thread      {} candidate-images/s; all threads are {:.2f} times that\n", rate_text(single),
                        times.candidate_images_per_second() / single);
  }
  return text + varied_text(result.varied);
}

std::string bench_json(const BenchOptions& options, const Config& config, const BenchResult& result) {
  const TuningTimes& times = result.times;
  Json json = {{"version", kVersion},
               {"config", options.run.config},
               {"model", config.model},
               {"device", result.device},
               {"strategy", options.strategy},
               {"offspring", times.offspring},
               {"images", times.images},
               {"generations", options.generations},
               {"repeats", options.repeats},
               {"candidate_images_per_second", times.candidate_images_per_second()},
               {"inference_images_per_second", times.inference_images_per_second()},
               {"once_seconds", times.once_seconds()},
               {"mutation_share", times.mutation_share()},
               {"peak_memory_bytes", result.peak_bytes}};
  if (result.one_thread) {
    json["one_thread_candidate_images_per_second"] = result.one_thread->candidate_images_per_second();
  }
  if (result.graphs) json["graphs"] = graph_usage_json(*result.graphs);
  json["layers"] = Json::array();
  for (const LayerTiming& layer : times.layers) {
    json["layers"].push_back({{"name", layer.name},
                              {"prepare_seconds", layer.prepare_seconds},
                              {"start_seconds", layer.start_seconds},
                              {"mutate_seconds", layer.mutate_seconds},
                              {"evaluate_seconds", layer.evaluate_seconds},
                              {"select_seconds", layer.select_seconds}});
  }
  json["varied"] = Json::array();
  for (const auto& [setting, varied, graphs] : result.varied) {
    json["varied"].push_back({{"setting", setting},
                              {"offspring", varied.offspring},
                              {"images", varied.images},
                              {"candidate_images_per_second", varied.candidate_images_per_second()},
                              {"inference_images_per_second", varied.inference_images_per_second()},
                              {"mutation_share", varied.mutation_share()}});
    if (graphs) json["varied"].back()["graphs"] = graph_usage_json(*graphs);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

/// KEY=VALUE of every value that the options want tried.
std::vector<std::string> settings_of(const std::vector<std::string>& vary) {
  std::vector<std::string> settings;
  for (const std::string& text : vary) {
    const std::size_t equals = text.find('=');
    require(equals != std::string::npos && equals > 0 && equals + 1 < text.size(), ErrorKind::usage,
            "--vary: '{}' is not KEY=VALUE,VALUE...", text);
    std::istringstream values(text.substr(equals + 1));
    for (std::string value; std::getline(values, value, ',');) settings.push_back(text.substr(0, equals + 1) + value);
  }
  return settings;
}

std::vector<VariedTimes> measure_varied(const BenchOptions& options) {
  std::vector<VariedTimes> varied;
  for (const std::string& setting : settings_of(options.vary)) {
    spdlog::info("again with {}", setting);
    BenchOptions other = options;
    other.scaling = false;
    other.run.overrides.push_back(setting);
    BenchResult result = measure(other, load_config(other.run));
    varied.push_back({setting, std::move(result.times), std::move(result.graphs)});
  }
  return varied;
}

int run_tuning_bench(const BenchOptions& options, Terminal& terminal, const OutputOptions& output) {
  settings_of(options.vary);  // a mistake shows before an hour of measuring
  const Config config = load_config(options.run);
  BenchResult result = measure(options, config);
  result.varied = measure_varied(options);
  terminal.out() << (output.json ? bench_json(options, config, result) : bench_text(result));
  return 0;
}

Action add_tuning_bench(CLI::App& app) {
  const auto options = std::make_shared<BenchOptions>();
  add_config_options(app, options->run);
  add_backend_option(app, options->run);
  app.add_option("--strategy", options->strategy,
                 "What is searched; gram starts by descent, which counts once per layer")
      ->type_name("NAME")
      ->capture_default_str()
      ->check(CLI::IsMember({"layer", "channel", "gram"}));
  app.add_flag("--noise", options->noise, "Noise for images: the config's data files are not read");
  one_a_flag(app.add_option("--layers", options->layers, "Layers to time, by name, or all"))
      ->type_name("NAME[,NAME]")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--generations", options->generations,
                 "Generations per layer and repeat; where a backend replays what it has recorded, a fifth of them too, "
                 "so that the "
                 "difference tells what one costs")
      ->type_name("G")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--repeats", options->repeats, "Repeats; times are their medians")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  one_a_flag(app.add_option("--vary", options->vary,
                            "Measure again with a key at each of these values; can be given repeatedly"))
      ->type_name("KEY=VALUE,VALUE...");
  app.add_flag("--scaling", options->scaling, "Measure with one thread too");
  return [options](Terminal& terminal, const OutputOptions& output) {
    return until_stopped([&] { return run_tuning_bench(*options, terminal, output); });
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
