// SPDX-License-Identifier: MIT
#include "qnudge/search/setup.hpp"

#include <algorithm>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/fixed_point.hpp"
#include "qnudge/core/output_file.hpp"
#include "qnudge/core/stop.hpp"
#include "qnudge/search/shared_work.hpp"
#include "sample_reader.hpp"

namespace qnudge {
namespace {

constexpr const char* kReferenceFile = "reference.bin";
constexpr const char* kTargetsFile = "targets.bin";

/// The float model on one set: predictions, and logits if asked; of series the errors.
Reference::Set float_set(const IntNetwork& network, const Dataset& dataset, const Indices& indices,
                         const FloatPass& float_pass, bool keep_logits) {
  Reference::Set set;
  if (is_series(dataset)) {
    set.errors = float_errors(network, dataset, indices, float_pass);
    return set;
  }
  const std::int64_t outputs = network.output_size();
  const auto count = static_cast<std::int64_t>(indices.size());
  const std::vector<float> logits = float_pass(count, reader_of(dataset, indices), {});
  for (std::int64_t i = 0; i < count; ++i) {
    const float* row = logits.data() + i * outputs;
    set.predicted.push_back(argmax(row, outputs));
    const std::int32_t label = dataset.labels()[static_cast<std::size_t>(indices[static_cast<std::size_t>(i)])];
    set.correct += set.predicted.back() == label;
    set.cross_entropy += cross_entropy_q16(row, outputs, label);
    if (!keep_logits) continue;
    for (std::int64_t k = 0; k < outputs; ++k) set.logits.push_back(logit_to_q16(row[k]));
  }
  return set;
}

/// The same, taken over from another run where one had it.
Reference::Set float_set(SharedWork* shared, const std::string& model, const IntNetwork& network,
                         const Dataset& dataset, const Indices& indices, const FloatPass& float_pass,
                         bool keep_logits) {
  const auto make = [&] { return float_set(network, dataset, indices, float_pass, keep_logits); };
  if (shared == nullptr || is_series(dataset)) return make();  // errors are on a grid of the run's own
  Fingerprint key;
  key.add(model).add(dataset.fingerprint()).add_values(std::span(indices)).add(keep_logits ? "logits" : "");
  return *shared->float_sets.get(key.hex(), make);
}

std::string reference_inputs(const Config& config, const Graph& graph, const Dataset& train, const Dataset& test,
                             const Splits& splits) {
  Fingerprint fingerprint;
  fingerprint.add("reference").add(graph.fingerprint).add(train.fingerprint()).add(test.fingerprint());
  fingerprint.add(config.quant.activations).add(config.quant.batch_norm).add(config.quant.activation_range);
  for (const Indices* set : {&splits.calibration, &splits.fitness, &splits.gate, &splits.test, &splits.threshold}) {
    fingerprint.add_values(std::span(*set));
  }
  if (needs_targets(config.search)) {
    const std::uint64_t drawn[] = {config.seed, static_cast<std::uint64_t>(config.search.positions)};
    fingerprint.add("targets").add_values(std::span<const std::uint64_t>(drawn));
  }
  for (const bool from_test : {splits.fitness_from_test, splits.gate_from_test}) {
    fingerprint.add(from_test ? "test" : "train");
  }
  return fingerprint.hex();
}

/// Lowers the exponents where the squared error on some of the calibration images says so.
void refine_exponents(IntNetwork& network, const Dataset& train, const Indices& calibration,
                      const FloatPass& float_pass) {
  constexpr std::int64_t kImages = 256;  // a choice among four scales needs no more
  std::vector<GridErrors> errors;
  FloatObservation observe;
  observe.grids = activation_grids(network);
  observe.grid_errors = &errors;
  float_pass(std::min(kImages, static_cast<std::int64_t>(calibration.size())), reader_of(train, calibration), observe);
  choose_exponents(network, errors);
}

/// One more pass over the calibration images for what descent, channel and gram fit.
std::shared_ptr<const TargetValues> compute_targets(const Config& config, const IntNetwork& network,
                                                    const Ranges& ranges, const SampleReader& calibration,
                                                    const FloatPass& float_pass, TargetTable& table) {
  table.images = config.data.calibration;
  table.per_image = config.search.positions;
  const auto targets = std::make_shared<TargetValues>(network, table.images, table.per_image);
  FloatObservation observe;
  std::vector<std::vector<std::int32_t>> positions(network.layers.size());
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const Shape& out = network.layers[l].out;
    const int layer = static_cast<int>(l), source = target_source(network, layer);
    table.exponents.push_back(target_exponent(static_cast<double>(ranges[static_cast<std::size_t>(source)])));
    positions[l] = draw_positions(config.seed, layer, out, table.images, table.per_image);
    observe.samples.push_back(
        {source, table.exponents.back(), rows_per_image(out, table.per_image), positions[l], targets->layer(layer)});
  }
  float_pass(table.images, calibration, observe);
  table.fingerprint = targets->fingerprint();
  return targets;
}

struct Computed {
  Reference reference;
  std::shared_ptr<const TargetValues> targets;
};

Computed compute_reference(const Config& config, IntNetwork& network, const Graph& graph, const Dataset& train,
                           const Dataset& test, const Splits& splits, const FloatPass& float_pass, bool with_targets,
                           SharedWork* shared) {
  Computed computed;
  Reference& reference = computed.reference;
  Ranges ranges(graph.nodes.size());
  FloatObservation observe;
  observe.ranges = &ranges;
  for (const Layer& layer : network.layers) observe.mean_nodes.push_back(network.at(layer.node).linear_source);
  observe.means = &reference.channel_means;
  float_pass(static_cast<std::int64_t>(splits.calibration.size()), reader_of(train, splits.calibration), observe);
  const auto bad = std::find_if(ranges.begin(), ranges.end(), [](float r) { return !std::isfinite(r); });
  require(bad == ranges.end(), ErrorKind::input, "the float model's node '{}' is not finite on the calibration images",
          bad == ranges.end() ? "" : graph.nodes[static_cast<std::size_t>(bad - ranges.begin())].name);

  calibrate(network, ranges);
  if (config.quant.activation_range == "mse") refine_exponents(network, train, splits.calibration, float_pass);
  for (const IntNode& node : network.nodes) reference.exponents.push_back(node.exponent);
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    if (network.layers[l].constant) reference.constant_layers.push_back(static_cast<std::int32_t>(l));
  }
  const Dataset &fitness_data = splits.fitness_from_test ? test : train,
                &gate_data = splits.gate_from_test ? test : train;
  reference.fitness = float_set(shared, graph.fingerprint, network, fitness_data, splits.fitness, float_pass, true);
  reference.gate = float_set(shared, graph.fingerprint, network, gate_data, splits.gate, float_pass, true);
  reference.test = float_set(shared, graph.fingerprint, network, test, splits.test, float_pass, false);
  if (!splits.threshold.empty()) reference.threshold = float_set(network, test, splits.threshold, float_pass, false);
  if (with_targets) {
    computed.targets =
        compute_targets(config, network, ranges, reader_of(train, splits.calibration), float_pass, reference.targets);
  }
  return computed;
}

/// What lies in a run folder from before.
struct Stored {
  std::optional<Reference> reference;  ///< whole, and of the same inputs
  std::shared_ptr<const TargetValues> targets;
  bool complete = false;  ///< with its targets, if it has some
  std::string unusable;   ///< why there is no `reference` although there is a file; empty where there is none
};

Stored load_stored(const std::filesystem::path& file, const std::string& inputs, const IntNetwork& network) {
  Stored stored;
  if (file.empty() || !std::filesystem::exists(file)) return stored;
  try {
    Reference reference = load_reference(file);
    if (reference.inputs != inputs || reference.exponents.size() != network.nodes.size() ||
        reference.channel_means.size() != network.layers.size() ||
        (!reference.constant_layers.empty() &&
         static_cast<std::size_t>(reference.constant_layers.back()) >= network.layers.size())) {
      stored.unusable = fmt::format("{}: is of another model, other data or other settings", file.string());
      return stored;
    }
    stored.reference = std::move(reference);
  } catch (const Error& error) {
    stored.unusable = error.what();
    return stored;
  }
  const TargetTable& table = stored.reference->targets;
  try {
    if (!table.fingerprint.empty()) {
      stored.targets = std::make_shared<TargetValues>(file.parent_path() / kTargetsFile, network, table);
    }
    stored.complete = true;
  } catch (const Error&) {  // missing or damaged: whoever computes them again must get what the reference names
  }
  return stored;
}

/// A reference is never replaced by another one: targets that were lost must come out the same again.
void require_given_reference(const Reference& given, const Reference& computed, const std::filesystem::path& file) {
  const std::string targets = (file.parent_path() / kTargetsFile).string();
  require(given.fingerprint() == computed.fingerprint(), ErrorKind::input,
          "{}: is missing or damaged, and this machine computes other targets than those that go with {}; put back the "
          "{} that was written with it, or delete {} to compute both afresh",
          targets, file.string(), kTargetsFile, kReferenceFile);
}

}  // namespace

void check_layer_names(const Config& config, const IntNetwork& network) {
  const auto check = [&](const std::string& name, std::string_view key) {
    const bool known = std::any_of(network.layers.begin(), network.layers.end(),
                                   [&](const Layer& l) { return l.name == name && l.tunable; });
    if (known) return;
    std::string names;
    for (const Layer& l : network.layers) {
      if (l.tunable) names += (names.empty() ? "'" : ", '") + l.name + "'";
    }
    fail(ErrorKind::usage, "{}: the model has no layer '{}'; its layers are {}", key, name, names);
  };
  for (const auto& [name, grid] : config.quant.layers) check(name, "quant.layers");
  for (const std::string& name : config.search.skip) check(name, "search.skip");
}

Grid to_grid(const GridConfig& config) {
  return {config.bits, config.scheme == "per_channel" ? GridScheme::per_channel : GridScheme::per_layer,
          config.scale == "free" ? GridScale::free : GridScale::pow2,
          config.range == "mse" ? GridRange::mse : GridRange::max};
}

Grid grid_of_layer(const QuantConfig& config, const Layer& layer) {
  const auto it = config.layers.find(layer.name);
  return to_grid(it == config.layers.end() ? config.grid : it->second);
}

BatchNormMode batch_norm_mode(const QuantConfig& config) {
  return config.batch_norm == "fold" ? BatchNormMode::fold : BatchNormMode::separate;
}

PopulationOptions population_options(const Config& config) {
  const SearchConfig& s = config.search;
  PopulationOptions options;
  options.parents = static_cast<std::int32_t>(s.parents);
  options.offspring = static_cast<std::int32_t>(s.offspring);
  options.chunk = static_cast<std::int32_t>(s.chunk);
  options.seed = config.seed;
  options.rate = s.rate;
  options.mutation = s.mutation == "residual" ? MutationKind::residual : MutationKind::uniform;
  options.fitness = s.fitness == "cross_entropy"             ? FitnessKind::cross_entropy
                    : s.fitness == "kl"                      ? FitnessKind::kl
                    : s.fitness == "top1_then_cross_entropy" ? FitnessKind::top1_then_cross_entropy
                    : s.fitness == "reconstruction"          ? FitnessKind::reconstruction
                                                             : FitnessKind::top1;
  return options;
}

ChannelOptions channel_options(const Config& config) {
  const SearchConfig& s = config.search;
  return {.offspring = static_cast<std::int32_t>(s.offspring),
          .generations = static_cast<std::int32_t>(s.generations),
          .seed = config.seed,
          .mutation = s.mutation == "residual" ? MutationKind::residual : MutationKind::uniform,
          .rate = s.rate,
          .rate_end = s.rate_end > 0 ? s.rate_end : s.rate};
}

GramOptions gram_options(const Config& config) {
  const SearchConfig& s = config.search;
  return {.parents = static_cast<std::int32_t>(s.parents),
          .offspring = static_cast<std::int32_t>(s.offspring),
          .seed = config.seed,
          .rate = s.rate,
          .joint_gain = s.joint_gain};
}

SplitRequest split_request(const Config& config) {
  const DataConfig& d = config.data;
  return {.calibration = d.calibration,
          .fitness = d.fitness,
          .gate = d.gate,
          .test = d.test,
          .test_from_train = d.test_from == "train",
          .gate_from_test = d.gate_from == "test",
          .paper_protocol = config.protocol == "paper",
          .seed = config.seed,
          .threshold_part = d.series.threshold_part};
}

Prepared prepare_network(const Config& config, const Graph& graph, const Dataset& train, const Dataset& test,
                         const FloatPass& float_pass, const std::filesystem::path& reference_file, SharedWork* shared) {
  for (const Dataset* data : {&train, &test}) {
    require(data->shape() == graph.input_shape(), ErrorKind::input,
            "{} gives samples of {}x{}x{} (height, width, channels); the model's input '{}' needs {}x{}x{}",
            data->description(), data->shape().h, data->shape().w, data->shape().c, graph.input_name,
            graph.input_shape().h, graph.input_shape().w, graph.input_shape().c);
    require(data->classes() <= graph.output_shape().size(), ErrorKind::input,
            "{} has {} classes; the model's output '{}' has {} values", data->description(), data->classes(),
            graph.output_name, graph.output_shape().size());
    require(!is_series(*data) || graph.output_shape() == graph.input_shape(), ErrorKind::input,
            "{} is judged by its reconstruction; the model's output '{}' is {}x{}x{} and its input '{}' {}x{}x{}",
            data->description(), graph.output_name, graph.output_shape().h, graph.output_shape().w,
            graph.output_shape().c, graph.input_name, graph.input_shape().h, graph.input_shape().w,
            graph.input_shape().c);
  }
  Prepared prepared{.network = lower(graph, batch_norm_mode(config.quant))};
  if (config.quant.activations == "half") prepared.network.activations = Activations::half;
  check_layer_names(config, prepared.network);
  prepared.splits = make_splits(train, test, split_request(config));
  if (!reference_file.empty()) require_both_kinds(test, prepared.splits);

  const std::string inputs = reference_inputs(config, graph, train, test, prepared.splits);
  const auto take = [&](Reference reference, std::shared_ptr<const TargetValues> targets) {
    prepared.reference = std::move(reference);
    prepared.targets = std::move(targets);
    set_exponents(prepared.network, prepared.reference.exponents);
    for (const int l : prepared.reference.constant_layers) prepared.network.layer(l).constant = true;
    return prepared;
  };
  Stored stored = load_stored(reference_file, inputs, prepared.network);
  if (stored.complete) return take(std::move(*stored.reference), std::move(stored.targets));
  if (!stored.unusable.empty()) prepared.note = stored.unusable + "; it was computed afresh";
  const bool with_targets = needs_targets(config.search);
  const auto compute_into = [&](const std::filesystem::path& file, const std::optional<Reference>& given) {
    Computed computed = compute_reference(config, prepared.network, graph, train, test, prepared.splits, float_pass,
                                          with_targets, shared);
    computed.reference.inputs = inputs;
    if (given) require_given_reference(*given, computed.reference, file);
    if (file.empty()) return computed;
    if (with_targets) computed.targets->save(file.parent_path() / kTargetsFile);
    save_reference(computed.reference, file);
    return computed;
  };
  if (shared == nullptr || stored.reference) {
    Computed computed = compute_into(reference_file, stored.reference);
    return take(std::move(computed.reference), std::move(computed.targets));
  }
  const std::filesystem::path common = shared->folder / inputs;
  shared->references.get(inputs, [&] {
    create_output_folder(common);
    remove_abandoned_output(common);
    const Stored before = load_stored(common / kReferenceFile, inputs, prepared.network);
    if (!before.complete) compute_into(common / kReferenceFile, before.reference);
    return true;
  });
  if (with_targets) link_file_atomically(common / kTargetsFile, reference_file.parent_path() / kTargetsFile);
  link_file_atomically(common / kReferenceFile, reference_file);
  Stored linked = load_stored(reference_file, inputs, prepared.network);
  require(linked.complete, ErrorKind::input,
          "{}: is not what {} was when this run began; is another program at work there?", reference_file.string(),
          common.string());
  return take(std::move(*linked.reference), std::move(linked.targets));
}

bool needs_targets(const SearchConfig& config) {
  return config.start == "descent" || config.strategy == "channel" || config.strategy == "gram";
}

LayerTargets layer_targets(const Prepared& prepared, std::uint64_t seed, int layer) {
  const TargetTable& table = prepared.reference.targets;
  const Shape& out = prepared.network.layer(layer).out;
  return {.site = target_site(prepared.network, layer),
          .exponent = table.exponents[static_cast<std::size_t>(layer)],
          .images = table.images,
          .per_image = rows_per_image(out, table.per_image),
          .positions = draw_positions(seed, layer, out, table.images, table.per_image),
          .values = prepared.targets->layer(layer)};
}

std::vector<LayerParams> nearest_params(const IntNetwork& network, const QuantConfig& config) {
  std::vector<LayerParams> params;
  for (const Layer& layer : network.layers) {
    stop_point();
    params.push_back(quantise_layer(network, layer, grid_of_layer(config, layer)));
  }
  return params;
}

std::vector<LayerParams> rest_params(const IntNetwork& network, const QuantConfig& config) {
  std::vector<LayerParams> params;
  for (const Layer& layer : network.layers) params.push_back(rest_layer(network, config, layer));
  return params;
}

int rest_bits(const QuantConfig& config) {
  return config.activations == "half" ? kHalfBits : config.rest_bits;
}

LayerParams rest_layer(const IntNetwork& network, const QuantConfig& config, const Layer& layer) {
  if (network.half()) return half_layer(network, layer);
  Grid grid = grid_of_layer(config, layer);
  grid.bits = config.rest_bits;
  return quantise_layer(network, layer, grid);
}

void correct_biases(const IntNetwork& network, const Reference& reference, Session& session, const ImagesHandle& images,
                    std::vector<LayerParams>& params) {
  for (std::size_t l = 0; l < params.size(); ++l) session.set_layer(static_cast<int>(l), params[l]);
  for (std::size_t l = 0; l < params.size(); ++l) {
    const int layer = static_cast<int>(l);
    correct_bias(network, network.layer(layer), reference.channel_means[l], session.accumulator_means(layer, images),
                 params[l]);
    session.set_layer(layer, params[l]);
  }
}

}  // namespace qnudge
