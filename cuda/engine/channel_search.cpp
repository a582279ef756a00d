// SPDX-License-Identifier: MIT
#include "channel_search.hpp"

#include <algorithm>
#include <numeric>

#include "plain_run.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/quant/residual.hpp"
#include "repeated.hpp"

namespace qnudge::cuda {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

bool is_float_output(const IntNetwork& n, const Layer& layer) {
  return layer.node == n.output && n.float_output();
}

ConvEpilogue epilogue_of(const IntNetwork& n, const Layer& layer) {
  const IntNode& node = n.at(layer.node);
  ConvEpilogue epilogue;
  epilogue.float_output = is_float_output(n, layer);
  epilogue.low = static_cast<std::int8_t>(node.low);
  epilogue.high = static_cast<std::int8_t>(node.high);
  return epilogue;
}

}  // namespace

EngineChannelSearch::EngineChannelSearch(const DeviceNetwork& network, int layer, const DeviceImages& images,
                                         const LayerTargets& targets, const ChannelOptions& options,
                                         std::span<const std::int16_t> residual_targets, const EngineOptions& engine)
    : RecordedSearch(network.device(), network.description().layer(layer).name),
      layer_(network.description().layer(layer)),
      float_output_(is_float_output(network.description(), layer_)),
      epilogue_(epilogue_of(network.description(), layer_)),
      options_(options),
      images_(targets.images),
      per_image_(targets.per_image),
      channels_(layer_.filter.k),
      genes_(layer_.filter.size()),
      rows_(network, layer, images, targets, DeviceRows::Order::rows_first, engine) {
  const std::int64_t candidates = options.offspring;
  elite_ = {device_, at(genes_), "the elite"};
  filters_ = {device_, at(candidates * genes_), "the candidates' filters"};
  errors_ = {device_, at(candidates * channels_), "the errors"};
  fitness_ = {device_, at(channels_), "the fitness"};
  accepted_ = {device_, at(channels_), "the ranking"};
  counters_ = {device_, 1, "the counters"};
  const LayerParams& params = layer_.params;
  const std::vector<float> bias(params.bias.begin(), params.bias.end());
  wide_bias_ = {device_, std::span<const float>(repeated(bias, candidates)), "the candidates' biases"};
  wide_multiplier_ = {device_, std::span<const float>(repeated(params.multiplier, candidates)),
                      "the candidates' multipliers"};
  prepare_rule(layer, residual_targets);
  prepare_conv(engine);
}

void EngineChannelSearch::prepare_rule(int layer, std::span<const std::int16_t> residual_targets) {
  const LayerParams& params = layer_.params;
  frozen_ = {device_, std::span(params.frozen), "the frozen channels"};
  rule_ = {{}, nullptr, frozen_.data(), genes_, layer_.filter.taps(), options_.seed, static_cast<std::uint32_t>(layer)};
  rule_.mutation.kind = options_.mutation;
  rule_.mutation.low = -(1 << (params.bits - 1));
  rule_.mutation.high = -rule_.mutation.low - 1;
  if (options_.mutation == MutationKind::uniform) {
    std::vector<UniformThresholds> thresholds;
    for (std::int32_t g = 0; g < options_.generations; ++g)
      thresholds.push_back(uniform_thresholds(options_.rate_at(g)));
    uniform_thresholds_ = {device_, std::span<const UniformThresholds>(thresholds), "the mutation's thresholds"};
    return;
  }
  require(residual_targets.size() == at(genes_), ErrorKind::internal,
          "layer '{}': residual mutation needs one target per weight", layer_.name);
  const std::vector<std::int16_t> targets(residual_targets.begin(), residual_targets.end());
  std::vector<std::uint32_t> thresholds;
  for (std::int32_t g = 0; g < options_.generations; ++g) {
    const auto now = residual_thresholds(params.codes, targets, options_.rate_at(g), params.frozen);
    thresholds.insert(thresholds.end(), now.begin(), now.end());
  }
  residual_ = {device_, residual_targets, "the residuals"};
  residual_thresholds_ = {device_, std::span<const std::uint32_t>(thresholds), "the mutation's thresholds"};
  rule_.targets = residual_.data();
}

/// The layer over a block of rows: a 1x1 convolution whose input channels are the taps.
void EngineChannelSearch::prepare_conv(const EngineOptions& engine) {
  const std::int64_t width = layer_.conv.groups * layer_.filter.taps(), columns = options_.offspring * channels_;
  const std::int64_t element = float_output_ ? 4 : 1;
  const ChunkLimits limits = chunk_limits(device_, engine);
  const auto bytes = static_cast<std::int64_t>(limits.bytes);
  ConvTask task;
  task.role = ConvRole::wide;
  task.candidates = options_.offspring;
  task.in = {1, 1, width};
  task.out = {1, 1, channels_};
  task.filter = {channels_, 1, 1, layer_.filter.taps()};
  task.geometry = {.window = {}, .groups = layer_.conv.groups};
  task.epilogue = epilogue_;
  block_ = std::min({rows_.rows(), bytes / (columns * element), kMaxTensorElements / largest_tensor(task)});
  if (limits.images > 0) block_ = std::min(block_, limits.images * per_image_);
  require(block_ > 0, ErrorKind::device,
          "layer '{}': the outputs of {} offspring at one position need {:.1f} MiB of device memory: lower "
          "search.offspring",
          layer_.name, options_.offspring, static_cast<double>(columns * element) / 1048576.0);
  task.in.w = task.out.w = block_;
  conv_ = device_.prepare_conv(task, layer_.params.bits);
  output_ = device_.allocate(at(block_ * columns * element), "the candidates' outputs");
  workspace_ = device_.allocate(conv_->workspace_bytes(), "a convolution's workspace");
}

void EngineChannelSearch::append_errors(Program& program) const {
  const std::int64_t width = layer_.conv.groups * layer_.filter.taps(), columns = options_.offspring * channels_;
  program.add(0, FillBytes{errors_.data(), 0, at(columns) * sizeof(std::int64_t)});
  for (const ImageChunk& block : image_chunks(rows_.rows(), block_)) {
    program.add(0, RunConv{conv_,
                           {.x = rows_.codes() + block.first * width,
                            .w = filters_.data(),
                            .bias = wide_bias_.data(),
                            .multiplier = wide_multiplier_.data(),
                            .residual = nullptr,
                            .y = output_.get(),
                            .workspace = workspace_.get()}});
    const std::int64_t skipped = block.skip * columns;
    ErrorColumns op{.error = rows_.error(),
                    .codes = nullptr,
                    .values = nullptr,
                    .sums = errors_.data(),
                    .first = block.first + block.skip,
                    .rows = block_ - block.skip,
                    .columns = columns,
                    .channels = channels_};
    if (float_output_) {
      op.values = reinterpret_cast<const float*>(output_.get()) + skipped;
    } else {
      op.codes = reinterpret_cast<const std::int8_t*>(output_.get()) + skipped;
    }
    program.add(0, SumErrors{op});
  }
}

void EngineChannelSearch::begin(const std::vector<std::int8_t>& elite, const std::vector<std::int64_t>& fitness,
                                std::int32_t generation) {
  elite_.set(elite);
  fitness_.set(fitness);
  const PopulationCounters counters{generation, 0};
  counters_.set({&counters, 1});
  log_.begin(generation, std::accumulate(fitness.begin(), fitness.end(), std::int64_t{0}));
}

void EngineChannelSearch::start() {
  filters_.set(repeated(layer_.params.codes, options_.offspring));
  Program program;
  append_errors(program);
  device_.run(program);
  std::vector<std::int64_t> fitness = errors_.get();
  fitness.resize(at(channels_));
  for (std::int64_t& f : fitness) f = -f;
  begin(layer_.params.codes, fitness, 0);
  start_fitness_ = log_.mailbox().best;
}

void EngineChannelSearch::restore(const PopulationState& state) {
  require(state.parents.size() == at(genes_) && state.fitness.size() == at(channels_), ErrorKind::input,
          "checkpoint: {} codes and {} channels do not fit a layer of {} and {}", state.parents.size(),
          state.fitness.size(), genes_, channels_);
  Program program;
  append_errors(program);
  device_.run(program);  // libraries may set themselves up in a first execution, which must not be one that is recorded
  begin(state.parents, state.fitness, state.generation);
  start_fitness_ = state.start_fitness;
}

void EngineChannelSearch::mutate(std::int32_t) {
  const bool uniform = options_.mutation == MutationKind::uniform;
  recorded().add(0, ForEachDrawing{MutateChannels{.rule = rule_,
                                                  .uniform = uniform ? uniform_thresholds_.data() : nullptr,
                                                  .residual = uniform ? nullptr : residual_thresholds_.data(),
                                                  .elite = elite_.data(),
                                                  .filters = filters_.data(),
                                                  .counters = counters_.data(),
                                                  .generations = options_.generations},
                                   options_.offspring * rule_.blocks()});
}

void EngineChannelSearch::evaluate(std::int32_t) {
  append_errors(recorded());
}

void EngineChannelSearch::select() {
  const ChannelOutcome outcome{fitness_.data(), accepted_.data()};
  recorded().add(0, ForEachTeam{SelectChannel{elite_.data(), filters_.data(), errors_.data(), outcome, channels_,
                                              layer_.filter.taps(), options_.offspring},
                                channels_});
  recorded().add(0, EndChannels{.counters = counters_.data(),
                                .outcome = outcome,
                                .history = log_.records(),
                                .mailbox = &log_.mailbox(),
                                .channels = channels_,
                                .best_worst = 0,
                                .first_generation = log_.first_generation(),
                                .candidate_images = options_.offspring * images_});
}

PopulationState EngineChannelSearch::save() const {
  return {log_.generation(), start_fitness_, elite_.get(), fitness_.get(), {}};
}

}  // namespace qnudge::cuda
