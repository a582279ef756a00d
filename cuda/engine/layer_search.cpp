// SPDX-License-Identifier: MIT
#include "layer_search.hpp"

#include <spdlog/spdlog.h>

#include "plain_run.hpp"
#include "qnudge/core/error.hpp"
#include "repeated.hpp"

namespace qnudge::cuda {
namespace {

PopulationOptions with_chunk(PopulationOptions options, std::int32_t candidates) {
  options.chunk = candidates;
  return options;
}

}  // namespace

EngineSearch::EngineSearch(const DeviceNetwork& network, int layer, std::shared_ptr<const DeviceImages> images,
                           const PopulationOptions& options, std::span<const std::int16_t> residual_targets,
                           const EngineOptions& engine)
    : RecordedSearch(network.device(), network.description().layer(layer).name),
      network_(network),
      images_(std::move(images)),
      plan_(make_layer_plan(network.description(), layer)),
      memory_(plan_search_memory(network.description(), plan_, options, images_->count(),
                                 chunk_limits(network.device(), engine))),
      rule_{options.fitness, network.description().output_size(),
            error_steps_per_unit(network.description().nodes.front().exponent)},
      population_(device_, log_, network.description().layer(layer), layer, with_chunk(options, memory_.candidates),
                  residual_targets, images_->count()) {
  spdlog::debug("layer '{}' on the device: {}", network.description().layer(layer).name, memory_.text());
  const LayerParams& params = network.description().layer(layer).params;
  const std::vector<float> bias(params.bias.begin(), params.bias.end());
  wide_bias_ = {device_, std::span<const float>(repeated(bias, population_.resident())), "the candidates' biases"};
  wide_multiplier_ = {device_, std::span<const float>(repeated(params.multiplier, population_.resident())),
                      "the candidates' multipliers"};
  if (network.description().half()) {
    const auto genes = static_cast<std::size_t>(network.description().layer(layer).filter.size());
    wide_halves_ = {device_, genes * static_cast<std::size_t>(population_.resident()), "the candidates as halves"};
  }
  fill_cache(engine);
  prepare_suffix();
}

std::int64_t EngineSearch::image_bytes(int node) const {
  const IntNetwork& n = network_.description();
  return n.at(node).shape.size() * n.element_bytes(node);
}

std::byte* EngineSearch::cached(std::size_t cut, std::int64_t image) const {
  const int node = plan_.cut[cut];
  return node == 0 ? images_->inputs(image) : cache_[cut].data() + image * image_bytes(node);
}

void EngineSearch::fill_cache(const EngineOptions& engine) {
  const IntNetwork& n = network_.description();
  for (int node : plan_.cut) {
    const std::int64_t bytes = node == 0 ? 0 : images_->count() * image_bytes(node);
    cache_.emplace_back(device_, static_cast<std::size_t>(bytes), "the cached output of '" + n.at(node).name + "'");
  }
  std::vector<int> external = plan_.cut;
  external.push_back(0);
  const std::int64_t size = choose_chunk(n, plan_.prefix, images_->count(), plain_limits(device_, engine)).images;
  const ChunkProgram prefix(network_, {.nodes = plan_.prefix, .external = external, .kept = {}, .images = size});
  const Memory arena = device_.allocate(prefix.arena_bytes(), "the activations before the layer");
  TensorTable table = prefix.tensors(arena.get());
  Program program;
  for (const ImageChunk& chunk : image_chunks(images_->count(), size)) {
    table.front() = images_->inputs(chunk.first);
    for (std::size_t c = 0; c < plan_.cut.size(); ++c) {
      table[static_cast<std::size_t>(plan_.cut[c])] = cached(c, chunk.first);
    }
    prefix.append(program, 0, arena.get(), table, {});
  }
  device_.run(program);
  device_.wait();  // the arena ends with this function
}

void EngineSearch::prepare_suffix() {
  const IntNetwork& n = network_.description();
  suffix_ = std::make_unique<ChunkProgram>(network_, ChunkSpec{.nodes = searched_nodes(plan_),
                                                               .external = plan_.cut,
                                                               .kept = {n.output},
                                                               .images = memory_.chunk.images,
                                                               .candidates = population_.resident(),
                                                               .searched = n.at(plan_.node).layer()});
  std::size_t staged = 0;
  for (int node : plan_.cut) staged += aligned(static_cast<std::size_t>(memory_.chunk.images * image_bytes(node)));
  for (int s = 0; s < memory_.chunk.streams; ++s) {
    arenas_.push_back(device_.allocate(suffix_->arena_bytes(), "the candidates' activations"));
    staging_.push_back(device_.allocate(staged, "a chunk's inputs"));
  }
  round_ = {device_, 1, "the counters"};
}

void EngineSearch::append_scores(Program& program, std::int32_t candidates, std::int64_t* fitness) const {
  program.add(0, FillBytes{fitness, 0, static_cast<std::size_t>(candidates) * sizeof(std::int64_t)});
  const auto streams = static_cast<std::int32_t>(arenas_.size());
  WideFilter wide{population_.filters(), wide_bias_.data(), wide_multiplier_.data()};
  if (const auto weights = static_cast<std::int64_t>(wide_halves_.size()); weights > 0) {
    program.add(0, ForEach{HalfCodes{population_.filters(), wide_halves_.data()}, weights});
    wide.filters = wide_halves_.data();
  }
  const auto round = std::make_shared<Program>();
  for (int s = 1; s < streams; ++s) round->add(0, Fork{s});
  ChunkCursor cursor{round_.data(), images_->count(), suffix_->spec().images, streams, 0};
  for (int s = 0; s < streams; ++s) {
    cursor.stream = s;
    std::byte* const arena = arenas_[static_cast<std::size_t>(s)].get();
    TensorTable table = suffix_->tensors(arena);
    append_gathers(*round, cursor, table);
    suffix_->append(*round, s, arena, table, wide);
    round->add(s,
               Score{ScoreCandidates{suffix_->logits(table), images_->scoring(0), rule_, cursor, candidates, fitness}});
  }
  for (int s = 1; s < streams; ++s) round->add(0, Join{s});
  program.add(0, Loop{round, round_.data(), cursor.rounds()});
}

void EngineSearch::append_gathers(Program& program, const ChunkCursor& cursor, TensorTable& table) const {
  std::byte* staged = staging_[static_cast<std::size_t>(cursor.stream)].get();
  for (std::size_t c = 0; c < plan_.cut.size(); ++c) {
    const std::int64_t bytes = image_bytes(plan_.cut[c]);
    program.add(cursor.stream, ForEach{GatherChunk{reinterpret_cast<const std::int8_t*>(cached(c, 0)),
                                                   reinterpret_cast<std::int8_t*>(staged), cursor, bytes},
                                       cursor.size * bytes});
    table[static_cast<std::size_t>(plan_.cut[c])] = staged;
    staged += aligned(static_cast<std::size_t>(cursor.size * bytes));
  }
}

std::int64_t EngineSearch::score_first() const {
  const DeviceArray<std::int64_t> result(device_, 1, "the start's fitness");
  Program program;
  append_scores(program, 1, result.data());
  device_.run(program);
  return result.get().front();
}

void EngineSearch::start() {
  population_.fill_with_start();
  population_.begin(score_first());
}

void EngineSearch::restore(const PopulationState& state) {
  population_.restore(state);
  score_first();  // libraries may set themselves up in a first execution, which must not be one that is recorded
}

void EngineSearch::mutate(std::int32_t chunk) {
  population_.append_mutation(recorded(), chunk);
}

void EngineSearch::evaluate(std::int32_t chunk) {
  const auto [first, last] = population_.chunk_range(chunk);
  append_scores(recorded(), last - first, population_.offspring_fitness() + first);
}

void EngineSearch::select() {
  population_.append_selection(recorded());
}

}  // namespace qnudge::cuda
