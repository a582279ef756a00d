// SPDX-License-Identifier: MIT
#include "layer_search.hpp"

#include <algorithm>

#include "plain_run.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::vector<int> searched_and_suffix(const LayerPlan& plan) {
  std::vector<int> nodes{plan.node};
  nodes.insert(nodes.end(), plan.suffix.begin(), plan.suffix.end());
  return nodes;
}

/// `values` once per candidate.
std::vector<float> repeated(const std::vector<float>& values, std::int64_t candidates) {
  std::vector<float> all;
  for (std::int64_t p = 0; p < candidates; ++p) all.insert(all.end(), values.begin(), values.end());
  return all;
}

}  // namespace

EngineSearch::EngineSearch(const DeviceNetwork& network, int layer, std::shared_ptr<const DeviceImages> images,
                           const PopulationOptions& options, std::span<const std::int16_t> residual_targets,
                           const EngineOptions& engine)
    : RecordedSearch(network.device()),
      network_(network),
      images_(std::move(images)),
      plan_(make_layer_plan(network.description(), layer)),
      rule_{options.fitness, network.description().output_size(),
            error_steps_per_unit(network.description().nodes.front().exponent)},
      population_(device_, log_, network.description().layer(layer), layer, options, residual_targets,
                  images_->count()) {
  const LayerParams& params = network.description().layer(layer).params;
  const std::vector<float> bias(params.bias.begin(), params.bias.end());
  wide_bias_ = {device_, std::span<const float>(repeated(bias, population_.resident())), "the candidates' biases"};
  wide_multiplier_ = {device_, std::span<const float>(repeated(params.multiplier, population_.resident())),
                      "the candidates' multipliers"};
  fill_cache(engine);
  prepare_suffix(engine);
}

std::byte* EngineSearch::cached(std::size_t cut, std::int64_t image) const {
  const int node = plan_.cut[cut];
  if (node == 0) return images_->codes(image);
  return reinterpret_cast<std::byte*>(cache_[cut].data()) + image * network_.description().at(node).shape.size();
}

void EngineSearch::fill_cache(const EngineOptions& engine) {
  const IntNetwork& n = network_.description();
  for (int node : plan_.cut) {
    const std::int64_t bytes = node == 0 ? 0 : images_->count() * n.at(node).shape.size();
    cache_.emplace_back(device_, static_cast<std::size_t>(bytes), "the cached output of '" + n.at(node).name + "'");
  }
  std::vector<int> external = plan_.cut;
  external.push_back(0);
  const std::int64_t size =
      choose_chunk(network_, plan_.prefix, 1, images_->count(), plain_limits(device_, engine)).images;
  const ChunkProgram prefix(network_, {.nodes = plan_.prefix, .external = external, .kept = {}, .images = size});
  const Memory arena = device_.allocate(prefix.arena_bytes(), "the activations before the layer");
  TensorTable table = prefix.tensors(arena.get());
  Program program;
  for (const ImageChunk& chunk : image_chunks(images_->count(), size)) {
    table.front() = images_->codes(chunk.first);
    for (std::size_t c = 0; c < plan_.cut.size(); ++c) {
      table[static_cast<std::size_t>(plan_.cut[c])] = cached(c, chunk.first);
    }
    prefix.append(program, 0, arena.get(), table, {});
  }
  device_.run(program);
  device_.wait();  // the arena ends with this function
}

void EngineSearch::prepare_suffix(const EngineOptions& engine) {
  const std::vector<int> nodes = searched_and_suffix(plan_);
  const int layer = network_.description().at(plan_.node).layer;
  const std::int64_t candidates = population_.resident();
  const ChunkChoice choice = choose_chunk(network_, nodes, candidates, images_->count(), chunk_limits(device_, engine));
  suffix_ = std::make_unique<ChunkProgram>(network_, ChunkSpec{.nodes = nodes,
                                                               .external = plan_.cut,
                                                               .kept = {network_.description().output},
                                                               .images = choice.images,
                                                               .candidates = candidates,
                                                               .searched = layer});
  for (int s = 0; s < choice.streams; ++s) {
    arenas_.push_back(device_.allocate(suffix_->arena_bytes(), "the candidates' activations"));
  }
}

void EngineSearch::append_scores(Program& program, std::int32_t candidates, std::int64_t* fitness) const {
  program.add(0, FillBytes{fitness, 0, static_cast<std::size_t>(candidates) * sizeof(std::int64_t)});
  const int streams = static_cast<int>(arenas_.size());
  for (int s = 1; s < streams; ++s) program.add(0, Fork{s});
  const WideFilter wide{population_.filters(), wide_bias_.data(), wide_multiplier_.data()};
  const std::int64_t size = suffix_->spec().images;
  int stream = 0;
  for (const ImageChunk& chunk : image_chunks(images_->count(), size)) {
    std::byte* const arena = arenas_[static_cast<std::size_t>(stream)].get();
    TensorTable table = suffix_->tensors(arena);
    for (std::size_t c = 0; c < plan_.cut.size(); ++c) {
      table[static_cast<std::size_t>(plan_.cut[c])] = cached(c, chunk.first);
    }
    suffix_->append(program, stream, arena, table, wide);
    program.add(stream, Score{ScoreCandidates{suffix_->logits(table).from(chunk.skip),
                                              images_->scoring(chunk.first + chunk.skip), rule_, size - chunk.skip,
                                              candidates, fitness}});
    stream = (stream + 1) % streams;
  }
  for (int s = 1; s < streams; ++s) program.add(0, Join{s});
}

void EngineSearch::start() {
  std::int64_t fitness = 0;
  population_.fill_with_start();
  const DeviceArray<std::int64_t> result(device_, 1, "the start's fitness");
  Program program;
  append_scores(program, 1, result.data());
  device_.run(program);
  device_.download(&fitness, result.data(), sizeof fitness);
  population_.begin(fitness);
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
