// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/backend/float_pass.hpp"
#include "qnudge/config/config.hpp"
#include "qnudge/data/dataset.hpp"
#include "qnudge/model/graph.hpp"
#include "qnudge/quant/network.hpp"

namespace qnudge {

/// What a command line says about a run; unset values leave the config's.
struct RunOptions {
  std::string config;                  ///< file
  std::vector<std::string> overrides;  ///< "key=value"
  std::string backend;                 ///< empty: the config's
  int threads = -1;                    ///< negative: the config's
  std::string out;                     ///< empty: the config's, or runs/<stem of the config file>
};

/// The config with all options applied; `out` is set.
Config load_config(const RunOptions& options);

struct Datasets {
  std::shared_ptr<const Dataset> train, test;  ///< the same one where the test images are drawn from the training set
};

/// Opens what the config names; a scaling of series that it leaves open is fitted and written into it. Throws Error:
/// usage (keys that the format needs), input (files).
Datasets open_datasets(Config& config);

/// The config's float model. Throws Error(kind input), also for an integer model.
std::shared_ptr<const Graph> load_graph(const Config& config);

/// Throws Error(kind input) naming the first file of the config, which `origin` names, that does not exist;
/// `with_model`: the float model is needed too.
void check_files_exist(const Config& config, const std::string& origin, bool with_model = true);

/// Throws what can be told of a run before its data are read: layers that quant.layers and search.skip name, the shape
/// of samples, classes, the sizes of sets.
void check_before_reading(const Config& config, const Graph& graph);

/// Throws Error(kind input) unless model and dataset agree on the shape of a sample and every class has an output, or
/// of series every value of a sample.
/// `model` is the file's name for the message.
void check_model_fits_data(const std::string& model, const Shape& input, std::int64_t outputs, const Dataset& dataset);

/// Float inference for this graph, `threads` 0: all cores. Keeps the graph alive.
FloatPass make_float_pass(std::shared_ptr<const Graph> graph, int threads);

/// `backend.open` with a clear refusal: Error(kind device) naming backend, node and reason.
std::unique_ptr<Session> open_session(Backend& backend, const IntNetwork& network);

/// Nearest rounding of the config's model, calibrated on the config's images; params are set. Writes nothing.
IntNetwork nearest_network(const Config& config, const Graph& graph, const Datasets& data, const FloatPass& float_pass);

/// A model that `tune` wrote. Throws Error(kind input), also if it does not fit the data.
IntNetwork tuned_network(const std::string& model, const Dataset& data);

/// The config's test images in a run's order, the first `limit` of them (0: all).
Indices test_indices(const Config& config, const Datasets& data, std::int64_t limit);
/// Of series the windows that choose the threshold.
Indices threshold_indices(const Config& config, const Datasets& data);

/// Config file of a tuned model: `config` if set, else config.resolved.json beside `model`. Throws Error: usage if
/// there is neither, input if `model` is set but does not exist.
std::string config_for_model(const std::string& config, const std::string& model);

}  // namespace qnudge
