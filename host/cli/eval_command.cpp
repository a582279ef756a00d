// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <algorithm>

#include <CLI/Option.hpp>
#include <CLI/Validators.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"
#include "qnudge/cli/signals.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/output_file.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/report/anomaly.hpp"
#include "qnudge/report/format.hpp"
#include "qnudge/report/npy.hpp"
#include "qnudge/report/score_json.hpp"
#include "qnudge/report/series_score.hpp"
#include "qnudge/report/table.hpp"
#include "qnudge/search/chance.hpp"
#include "qnudge/search/measured_set.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

struct EvalOptions {
  RunOptions run;
  std::string model;
  bool nearest = false, floating = false;
  std::string predictions, inputs;  ///< .npy files to write
  std::int64_t limit = 0;           ///< 0: all test images
};

/// One model's answers on the test images; of series, whether a time step is flagged.
struct Answers {
  std::string name;
  std::vector<std::int32_t> predicted;
  Score score;
};

/// What all models are evaluated on.
struct TestSet {
  Config config;
  Datasets data;
  Indices indices;
  Indices threshold;  ///< of series: the windows that choose it

  bool series() const { return is_series(*data.test); }
  std::int64_t count() const { return static_cast<std::int64_t>(indices.size()); }
  std::int32_t label(std::int64_t i) const {
    return data.test->labels()[static_cast<std::size_t>(indices[static_cast<std::size_t>(i)])];
  }
  void read(std::int64_t i, std::span<float> out) const { data.test->read(indices[static_cast<std::size_t>(i)], out); }
};

std::vector<std::int32_t> labels_of(const Dataset& data, const Indices& indices) {
  std::vector<std::int32_t> labels;
  for (const std::int64_t i : indices) labels.push_back(data.labels()[static_cast<std::size_t>(i)]);
  return labels;
}

Answers class_answers(const std::string& name, const TestSet& test, std::vector<std::int32_t> predicted,
                      std::int64_t cross_entropy) {
  const auto n = static_cast<double>(test.count());
  std::int64_t correct = 0;
  for (std::int64_t i = 0; i < test.count(); ++i) correct += predicted[static_cast<std::size_t>(i)] == test.label(i);
  Score score{.value = static_cast<double>(correct) / n, .n = test.count()};
  score.cross_entropy = static_cast<double>(cross_entropy) / static_cast<double>(kQ16One) / n;
  return {.name = name, .predicted = std::move(predicted), .score = score};
}

/// From the errors of the windows that choose the threshold, and of those that are test.
Answers series_answers(const std::string& name, const TestSet& test, const IntNetwork& network,
                       const std::vector<std::int64_t>& threshold_errors, const std::vector<std::int64_t>& errors) {
  const std::int64_t threshold =
      choose_threshold(threshold_errors, labels_of(*test.data.test, test.threshold)).threshold;
  return {.name = name,
          .predicted = flags(errors, threshold),
          .score = f1_score(errors, labels_of(*test.data.test, test.indices), threshold, network.output_size(),
                            network.nodes.front().exponent)};
}

/// Samples first .. first + count - 1 as [count, H, W, C].
void read_samples(const TestSet& test, std::int64_t first, std::int64_t count, std::span<float> out) {
  const auto size = static_cast<std::size_t>(test.data.test->shape().size());
  for (std::int64_t i = 0; i < count; ++i) {
    test.read(first + i, out.subspan(static_cast<std::size_t>(i) * size, size));
  }
}

Answers evaluate_float(const TestSet& test, const Graph& graph, const FloatPass& float_pass) {
  const std::vector<float> logits = float_pass(
      test.count(),
      [&](std::int64_t first, std::int64_t count, std::span<float> out) { read_samples(test, first, count, out); }, {});
  const std::int64_t classes = graph.output_shape().size();
  std::vector<std::int32_t> predicted;
  std::int64_t cross_entropy = 0;
  for (std::int64_t i = 0; i < test.count(); ++i) {
    const float* row = logits.data() + i * classes;
    predicted.push_back(argmax(row, classes));
    cross_entropy += cross_entropy_q16(row, classes, test.label(i));
  }
  return class_answers("float", test, std::move(predicted), cross_entropy);
}

/// On the error grid of `network`, made of the same model.
Answers evaluate_float_series(const TestSet& test, const IntNetwork& network, const FloatPass& float_pass) {
  return series_answers("float", test, network, float_errors(network, *test.data.test, test.threshold, float_pass),
                        float_errors(network, *test.data.test, test.indices, float_pass));
}

Answers evaluate_integer(const TestSet& test, const IntNetwork& network, Backend& backend, const std::string& name) {
  const std::unique_ptr<Session> session = open_session(backend, network);
  const auto evaluate = [&](const Indices& indices) {
    return MeasuredSet(network, *session, *test.data.test, indices).evaluate();
  };
  if (test.series()) {
    return series_answers(name, test, network, evaluate(test.threshold).errors, evaluate(test.indices).errors);
  }
  Evaluation evaluation = evaluate(test.indices);
  return class_answers(name, test, std::move(evaluation.predicted), evaluation.cross_entropy);
}

struct Evaluated {
  std::vector<Answers> models;
  int spatial_rank = 2;
  Ends ends;
};

/// `graph`: the float model, unless a tuned one is evaluated.
Evaluated evaluate_all(const EvalOptions& options, const std::shared_ptr<const Graph>& graph, const TestSet& test,
                       Backend& backend) {
  if (!graph) {
    const IntNetwork network = tuned_network(options.model, *test.data.test);
    return {{evaluate_integer(test, network, backend, "tuned")}, network.spatial_rank, network.ends};
  }
  check_model_fits_data(test.config.model, graph->input_shape(), graph->output_shape().size(), *test.data.test);
  const FloatPass float_pass = make_float_pass(graph, static_cast<int>(test.config.threads));
  Evaluated all{.models = {}, .spatial_rank = graph->spatial_rank, .ends = graph->ends};
  const bool floating = options.floating || !options.nearest, nearest = options.nearest || !options.floating;
  if (floating && !test.series()) all.models.push_back(evaluate_float(test, *graph, float_pass));
  if (!nearest && !test.series()) return all;
  const IntNetwork network = nearest_network(test.config, *graph, test.data, float_pass);
  if (floating && test.series()) all.models.push_back(evaluate_float_series(test, network, float_pass));
  if (nearest) all.models.push_back(evaluate_integer(test, network, backend, "nearest"));
  return all;
}

/// The preprocessed inputs as a runtime takes them: [n, C, H, W], or [n, C, L] for signals, channels last where the
/// model has them there, or [n, C].
std::vector<float> input_planes(const TestSet& test, const Ends& ends) {
  const Shape shape = test.data.test->shape();
  const auto size = static_cast<std::size_t>(shape.size());
  std::vector<float> sample(size), planes(test.indices.size() * size);
  for (std::int64_t i = 0; i < test.count(); ++i) {
    stop_point();
    test.read(i, sample);
    float* to = planes.data() + static_cast<std::size_t>(i) * size;
    if (ends.input_channels_last) {
      std::ranges::copy(sample, to);
      continue;
    }
    for (std::int64_t c = 0; c < shape.c; ++c) {
      for (std::int64_t at = 0; at < shape.h * shape.w; ++at) {
        *to++ = sample[static_cast<std::size_t>(at * shape.c + c)];
      }
    }
  }
  return planes;
}

/// The files that the options ask for; nothing is written before all that is to be is there.
void write_outputs(const EvalOptions& options, const TestSet& test, const Evaluated& all) {
  const std::vector<float> planes = options.inputs.empty() ? std::vector<float>{} : input_planes(test, all.ends);
  if (!options.predictions.empty()) write_npy(options.predictions, all.models.front().predicted, {test.count()});
  if (options.inputs.empty()) return;
  const Shape shape = test.data.test->shape();
  std::vector<std::int64_t> extents = {test.count(), shape.c, shape.h};
  if (all.spatial_rank == 2) extents.push_back(shape.w);
  if (all.ends.input_channels_last) std::rotate(extents.begin() + 1, extents.begin() + 2, extents.end());
  if (all.ends.input_matrix) extents = {test.count(), shape.size()};
  write_npy(options.inputs, planes, extents);
}

/// A tuned model of the paper's protocol has been scored on these very images.
bool is_leaky(const EvalOptions& options, const TestSet& test) {
  return !options.model.empty() && test.config.protocol == "paper";
}

const char* leaky_text(const EvalOptions& options, const TestSet& test) {
  return is_leaky(options, test) ? " | LEAKY: protocol paper scored fitness on test images" : "";
}

std::int64_t correct(const Answers& answers) {
  return std::llround(answers.score.value * static_cast<double>(answers.score.n));
}

std::string series_text(const EvalOptions& options, const TestSet& test, const std::vector<Answers>& all) {
  TextTable table(
      {{"model", TextTable::Align::left}, {"F1"}, {"precision"}, {"recall"}, {"best-threshold F1"}, {"squared error"}});
  for (const Answers& answers : all) {
    const Detection& detection = *answers.score.detection;
    table.add({answers.name, percent_text(answers.score.value), percent_text(detection.precision),
               percent_text(detection.recall), percent_text(detection.best_threshold_f1),
               fmt::format("{:.4g}", detection.squared_error)});
  }
  return fmt::format("{} test time steps, {} of them anomalous; threshold chosen on {} others{}\n\n{}",
                     count_text(test.count()), count_text(all.front().score.detection->anomalous),
                     count_text(static_cast<std::int64_t>(test.threshold.size())), leaky_text(options, test),
                     table.text());
}

std::string eval_text(const EvalOptions& options, const TestSet& test, const std::vector<Answers>& all) {
  if (test.series()) return series_text(options, test, all);
  TextTable table({{"model", TextTable::Align::left}, {"top-1"}, {"correct"}, {"cross entropy"}});
  for (const Answers& answers : all) {
    const bool guesses =
        answers.name == "float" && at_chance(correct(answers), test.count(), test.data.test->classes());
    table.add({answers.name + (guesses ? " (only guesses)" : ""), percent_text(answers.score.value),
               count_text(correct(answers)), fmt::format("{:.4f} nats", *answers.score.cross_entropy)});
  }
  return fmt::format("{} test images{}\n\n{}", count_text(test.count()), leaky_text(options, test), table.text());
}

std::string eval_json(const EvalOptions& options, const TestSet& test, const Backend& backend,
                      const std::vector<Answers>& all) {
  Json json = {{"model", options.model.empty() ? test.config.model : options.model},
               {"protocol", test.config.protocol},
               {"leaky", is_leaky(options, test)},
               {"backend", backend.name()},
               {"device", backend.device()},
               {"data", test.data.test->description()}};
  for (const Answers& answers : all) {
    Json& score = json["results"][answers.name]["test"];
    score = score_json(answers.score);
    if (!test.series()) score["correct"] = correct(answers);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

/// What can be told before anything is read; true if a file of the user's takes stdout, where the table then cannot go.
bool check_outputs(const EvalOptions& options) {
  bool takes_stdout = false;
  for (const std::string& file : {options.predictions, options.inputs}) {
    if (file.empty()) continue;
    require_writable_output(file);
    takes_stdout = takes_stdout || is_standard_output(file);
  }
  return takes_stdout;
}

int run_eval(const EvalOptions& options, Terminal& terminal, const OutputOptions& output) {
  require(options.predictions.empty() || !options.model.empty() || options.nearest != options.floating,
          ErrorKind::usage, "--predictions: two models are evaluated; choose one with --model, --nearest or --float");
  RunOptions run = options.run;
  run.config = config_for_model(run.config, options.model);
  TestSet test;
  test.config = load_config(run);
  const bool stdout_taken = check_outputs(options);
  check_files_exist(test.config, run.config, options.model.empty());
  const std::shared_ptr<const Graph> graph = options.model.empty() ? load_graph(test.config) : nullptr;
  if (graph) check_before_reading(test.config, *graph);
  const auto backend = make_backend(test.config.backend, BackendOptions::of(test.config));
  test.data = open_datasets(test.config);
  test.indices = test_indices(test.config, test.data, options.limit);
  if (test.series()) {
    test.threshold = threshold_indices(test.config, test.data);
    require_both_kinds(*test.data.test, {.test = test.indices, .threshold = test.threshold});
  }
  spdlog::info("data   {}", test.data.test->description());
  spdlog::info("device {}", backend->device());

  const Evaluated all = evaluate_all(options, graph, test, *backend);
  const Answers& first = all.models.front();
  const std::int64_t classes = test.data.test->classes();
  if (first.name == "float" && !test.series() && at_chance(correct(first), test.count(), classes)) {
    spdlog::warn("{}", chance_text(correct(first), test.count(), classes, "test images"));
  }
  write_outputs(options, test, all);
  const std::string text =
      output.json ? eval_json(options, test, *backend, all.models) : eval_text(options, test, all.models);
  if (stdout_taken) {
    terminal.line(text.substr(0, text.size() - 1));
  } else {
    terminal.out() << text;
  }
  return 0;
}

}  // namespace

Action add_eval(CLI::App& app) {
  const auto options = std::make_shared<EvalOptions>();
  add_config_options(app, options->run, false);
  add_backend_option(app, options->run);
  CLI::Option* model = app.add_option("--model", options->model,
                                      "Evaluate this tuned.onnx; its run folder stands for CONFIG unless that is given")
                           ->type_name("FILE");
  app.add_flag("--nearest", options->nearest, "Only nearest rounding")->excludes(model);
  app.add_flag("--float", options->floating, "Only the float model")->excludes(model);
  app.add_option(
         "--predictions", options->predictions,
         "Write the predicted classes, of series 1 for an anomaly: int32 [n]; /dev/stdout: the table goes to stderr")
      ->type_name("FILE.npy");
  app.add_option("--save-inputs", options->inputs, "Write the preprocessed test images: float32 [n, C, H, W]")
      ->type_name("FILE.npy");
  app.add_option("--limit", options->limit, "Only the first N test images (0: all)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 31));
  return [options](Terminal& terminal, const OutputOptions& output) {
    return until_stopped([&] { return run_eval(*options, terminal, output); });
  };
}

}  // namespace qnudge
