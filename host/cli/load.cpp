// SPDX-License-Identifier: MIT
#include "qnudge/cli/load.hpp"

#include <filesystem>

#include "qnudge/core/error.hpp"
#include "qnudge/cpu/float_executor.hpp"
#include "qnudge/data/open.hpp"
#include "qnudge/model/onnx_import.hpp"
#include "qnudge/quant/onnx_export.hpp"
#include "qnudge/search/setup.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

/// What is compared with a model: of a dataset, or of its outline.
struct Samples {
  Shape shape;
  std::int64_t classes = 0;
  bool series = false;
  std::string description;
};

void check_model_fits(const std::string& model, const Shape& input, std::int64_t outputs, const Samples& samples) {
  const Shape& sample = samples.shape;
  const bool row = input == Shape{1, 1, sample.size()} && sample.c == 1;  // a vector of all pixels, row by row
  require(input == sample || row, ErrorKind::input,
          "{}: the input is {} x {} x {} (height, width, channels); the samples of {} are {} x {} x {}", model, input.h,
          input.w, input.c, samples.description, sample.h, sample.w, sample.c);
  require(!samples.series || outputs == sample.size(), ErrorKind::input,
          "{}: {} outputs; a network that gives back the samples of {} needs {}", model, outputs, samples.description,
          sample.size());
  require(outputs >= samples.classes, ErrorKind::input,
          "{}: {} outputs; {} has {} classes and needs an output for each (key data.classes)", model, outputs,
          samples.description, samples.classes);
}

}  // namespace

Config load_config(const RunOptions& options) {
  Config config = read_config(options.config, options.overrides, options.out);
  if (!options.backend.empty()) config.backend = options.backend;
  if (options.threads >= 0) config.threads = options.threads;
  return config;
}

Datasets open_datasets(Config& config) {
  const auto threads = static_cast<int>(config.threads);
  Datasets data{.train = open_dataset(config.data, true, threads), .test = nullptr};
  if (const SeriesScaling* scaling = data.train->scaling()) {
    config.data.series.offset = scaling->offset;
    config.data.series.scale = scaling->scale;
  }
  data.test =
      config.data.test_from == "train" ? data.train : open_dataset(config.data, false, threads, data.train.get());
  return data;
}

std::shared_ptr<const Graph> load_graph(const Config& config) {
  require(onnx_kind(config.model) != OnnxKind::tuned, ErrorKind::input,
          "{}: is an integer (QDQ) model; key 'model' needs the float model it came from", config.model);
  const bool labelled = config.data.format != "csv" && config.data.format != "npy";
  return std::make_shared<const Graph>(
      import_onnx(config.model, {.height = config.input_height,
                                 .width = config.input_width,
                                 .output = config.model_output,
                                 .results = labelled ? Results::ranked : Results::exact}));
}

void check_files_exist(const Config& config, const std::string& origin, bool with_model) {
  const auto check = [&](const char* key, const std::string& path) {
    std::error_code unknown;
    if (path.empty() || fs::exists(path, unknown) || unknown) return;  // what cannot be told, the reader says
    const bool relative = fs::path(path).is_relative();
    fail(ErrorKind::input, "{}{}{}: {} does not exist{}", origin, origin.empty() ? "" : ": ", key, path,
         relative
             ? fmt::format("; relative paths count from the current folder, {}", fs::current_path(unknown).string())
             : "");
  };
  if (with_model) check("model", config.model);
  for (const std::string& path : config.data.train_images) check("data.train_images", path);
  check("data.train_labels", config.data.train_labels);
  for (const std::string& path : config.data.test_images) check("data.test_images", path);
  check("data.test_labels", config.data.test_labels);
}

void check_before_reading(const Config& config, const Graph& graph) {
  check_layer_names(config, lower(graph, batch_norm_mode(config.quant)));
  const DataConfig& data = config.data;
  const bool one_set = data.test_from == "train";
  const std::optional<DatasetOutline> train = outline_dataset(data, true);
  if (!train) return;
  const std::optional<DatasetOutline> test = one_set ? train : outline_dataset(data, false);
  for (const auto& [outline, files] : {std::pair(&*train, &data.train_images), std::pair(&*test, &data.test_images)}) {
    const std::string name = one_set || files->empty() ? data.train_images.front() : files->front();
    check_model_fits(config.model, graph.input_shape(), graph.output_shape().size(),
                     {outline->shape, data.classes, false, name});
  }
  check_split_sizes(train->size, test->size, split_request(config));
}

void check_model_fits_data(const std::string& model, const Shape& input, std::int64_t outputs, const Dataset& dataset) {
  check_model_fits(model, input, outputs,
                   {dataset.shape(), dataset.classes(), is_series(dataset), dataset.description()});
}

FloatPass make_float_pass(std::shared_ptr<const Graph> graph, int threads) {
  const auto executor = std::make_shared<const FloatExecutor>(*graph, threads);
  return [graph = std::move(graph), executor](std::int64_t count, const SampleReader& samples,
                                              const FloatObservation& observe) {
    return executor->run(count, samples, observe);
  };
}

std::unique_ptr<Session> open_session(Backend& backend, const IntNetwork& network) {
  if (const auto reason = backend.reject(network)) {
    fail(ErrorKind::device, "backend '{}' cannot run this network: {}", backend.name(), *reason);
  }
  return backend.open(network);
}

IntNetwork nearest_network(const Config& config, const Graph& graph, const Datasets& data,
                           const FloatPass& float_pass) {
  Config lean = config;  // the float model's answers to these sets are not wanted, only its calibration
  lean.data.test = 1;
  lean.search.start = "nearest";
  lean.search.strategy = "none";
  IntNetwork network = prepare_network(lean, graph, *data.train, *data.test, float_pass, {}).network;
  std::vector<LayerParams> params = nearest_params(network, config.quant);
  for (std::size_t l = 0; l < params.size(); ++l) network.layers[l].params = std::move(params[l]);
  return network;
}

IntNetwork tuned_network(const std::string& model, const Dataset& data) {
  require(is_qdq_onnx(model), ErrorKind::input,
          "{}: is a float model; --model takes a tuned.onnx, and key 'model' of the config the float one", model);
  IntNetwork network = import_qdq_onnx(model);
  check_model_fits_data(model, network.nodes.front().shape, network.output_size(), data);
  return network;
}

Indices test_indices(const Config& config, const Datasets& data, std::int64_t limit) {
  Indices test = make_splits(*data.train, *data.test, split_request(config)).test;
  if (limit > 0 && limit < static_cast<std::int64_t>(test.size())) test.resize(static_cast<std::size_t>(limit));
  return test;
}

Indices threshold_indices(const Config& config, const Datasets& data) {
  return make_splits(*data.train, *data.test, split_request(config)).threshold;
}

std::string config_for_model(const std::string& config, const std::string& model) {
  require(model.empty() || fs::exists(model), ErrorKind::input,
          "{}: does not exist; --model takes the tuned.onnx of a run folder", model);
  if (!config.empty()) return config;
  require(!model.empty(), ErrorKind::usage, "CONFIG: missing; give a config file or --model of a run folder");
  const fs::path beside = fs::path(model).parent_path() / "config.resolved.json";
  require(fs::exists(beside), ErrorKind::usage,
          "CONFIG: missing, and {} does not exist; give the config file that describes the data", beside.string());
  return beside.string();
}

}  // namespace qnudge
