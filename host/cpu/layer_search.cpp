// SPDX-License-Identifier: MIT
#include "layer_search.hpp"

#include "parallel.hpp"

namespace qnudge {
namespace {

std::vector<int> searched_and_suffix(const LayerPlan& plan) {
  std::vector<int> nodes{plan.node};
  nodes.insert(nodes.end(), plan.suffix.begin(), plan.suffix.end());
  return nodes;
}

}  // namespace

HostLayerSearch::HostLayerSearch(const IntNetwork& network, const std::vector<PreparedLayer>& layers, int layer,
                                 std::shared_ptr<const HostImages> images, const PopulationOptions& options,
                                 std::span<const std::int16_t> residual_targets, int threads)
    : HostPopulation(network.layer(layer), layer, options, residual_targets, images->count(), threads),
      network_(network),
      layers_(layers),
      layer_(layer),
      threads_(threads),
      genes_(network.layer(layer).filter.size()),
      images_(std::move(images)),
      rule_{options.fitness, network.output_size(), error_steps_per_unit(network.nodes.front().exponent)},
      plan_(make_layer_plan(network, layer)) {
  fill_cache();
  program_ = std::make_unique<TileProgram>(network_, layers_, searched_and_suffix(plan_), plan_.cut,
                                           std::vector<int>{network_.output}, images_->tile());
  for (int t = 0; t < threads_; ++t) contexts_.push_back(program_->make_context());
}

void HostLayerSearch::set_cached(const TileProgram& program, TileContext& context, std::int64_t tile) {
  for (std::size_t c = 0; c < plan_.cut.size(); ++c) {
    const int node = plan_.cut[c];
    // The input is not copied: its tiles are read where they are.
    std::byte* data = cache_[c].data() == nullptr ? images_->tile_bytes(tile)
                                                  : cache_[c].data() + tile * images_->tile() * image_bytes(node);
    program.set_external(context, node, data);
  }
}

void HostLayerSearch::fill_cache() {
  for (int node : plan_.cut) {
    const std::int64_t images = images_->tiles() * images_->tile();
    cache_.emplace_back(node == 0 ? 0 : static_cast<std::size_t>(images * image_bytes(node)));
  }
  std::vector<int> external = plan_.cut;
  external.push_back(0);
  const TileProgram prefix(network_, layers_, plan_.prefix, external, {}, images_->tile());
  std::vector<TileContext> contexts;
  for (int t = 0; t < threads_; ++t) contexts.push_back(prefix.make_context());
  parallel_for(threads_, images_->tiles(), [&](int thread, std::int64_t tile) {
    TileContext& context = contexts[static_cast<std::size_t>(thread)];
    prefix.set_external(context, 0, images_->tile_bytes(tile));
    set_cached(prefix, context, tile);
    prefix.run(context);
  });
}

void HostLayerSearch::pack(std::span<const std::int8_t> genomes, std::int64_t count) {
  const ConvKernel& kernel = *layers_[static_cast<std::size_t>(layer_)].kernel;
  const std::size_t bytes = kernel.packed_bytes();
  if (packed_.size() < bytes * static_cast<std::size_t>(count)) {
    packed_ = AlignedBuffer(bytes * static_cast<std::size_t>(count));
  }
  parallel_for(threads_, count, [&](int thread, std::int64_t p) {
    kernel.pack(genomes.data() + p * genes_, packed_.data() + static_cast<std::size_t>(p) * bytes,
                contexts_[static_cast<std::size_t>(thread)].scratch.data());
  });
}

void HostLayerSearch::score(std::span<const std::int8_t> genomes, std::span<std::int64_t> fitness) {
  const auto candidates = static_cast<std::int64_t>(fitness.size());
  pack(genomes, candidates);
  const std::size_t bytes = layers_[static_cast<std::size_t>(layer_)].kernel->packed_bytes();
  std::vector<std::vector<std::int64_t>> sums(static_cast<std::size_t>(threads_),
                                              std::vector<std::int64_t>(fitness.size()));
  // Candidates run innermost, so that a tile's cached tensors stay in the cache of its core.
  parallel_for(threads_, images_->tiles() * candidates, [&](int thread, std::int64_t item) {
    const std::int64_t tile = item / candidates, candidate = item % candidates;
    TileContext& context = contexts_[static_cast<std::size_t>(thread)];
    set_cached(*program_, context, tile);
    program_->run(context, layer_, packed_.data() + static_cast<std::size_t>(candidate) * bytes);
    const std::byte* output = program_->output(context, network_.output);
    std::vector<float> buffer;
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < images_->images_in(tile); ++i) {
      sum += images_->score(rule_, tile * images_->tile() + i, image_logits(network_, output, i, buffer));
    }
    sums[static_cast<std::size_t>(thread)][static_cast<std::size_t>(candidate)] += sum;
  });
  for (std::size_t p = 0; p < fitness.size(); ++p) {
    fitness[p] = 0;
    for (const auto& part : sums) fitness[p] += part[p];
  }
}

}  // namespace qnudge
