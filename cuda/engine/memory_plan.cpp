// SPDX-License-Identifier: MIT
#include "memory_plan.hpp"

#include <algorithm>

#include "qnudge/core/error.hpp"
#include "qnudge/cuda/conv_task.hpp"

namespace qnudge::cuda {

std::vector<int> searched_nodes(const LayerPlan& plan) {
  std::vector<int> nodes{plan.node};
  nodes.insert(nodes.end(), plan.suffix.begin(), plan.suffix.end());
  return nodes;
}

std::string SearchMemory::text() const {
  return fmt::format(
      "{} candidates, {} images a chunk, {} streams: {} ({} parents, {} offspring, {} cached inputs, {} "
      "activations)",
      candidates, chunk.images, chunk.streams, mebibytes_text(total()), mebibytes_text(parents),
      mebibytes_text(filters), mebibytes_text(cache), mebibytes_text(activations));
}

SearchMemory plan_search_memory(const IntNetwork& network, const LayerPlan& plan, const PopulationOptions& options,
                                std::int64_t count, const ChunkLimits& limits) {
  const Layer& layer = network.layer(network.at(plan.node).layer());
  const ChunkNeeds needs = chunk_needs(network, searched_nodes(plan), plan.cut);
  // A filter comes with fp32 biases and multipliers, and where that is what runs, as halves too.
  const std::int64_t genes = layer.filter.size(), filter = genes * (network.half() ? 3 : 1) + 8 * layer.filter.k;
  SearchMemory fixed;
  fixed.parents = options.parents * genes;
  for (int node : plan.cut)
    fixed.cache += node == 0 ? 0 : count * network.at(node).shape.size() * network.element_bytes(node);
  const auto available = static_cast<std::int64_t>(limits.bytes);

  const std::int32_t most = options.chunk > 0 ? std::min(options.chunk, options.offspring) : options.offspring;
  std::optional<SearchMemory> best;
  std::int64_t best_rows = 0;
  for (std::int32_t parts = 1; parts <= most; ++parts) {
    SearchMemory memory = fixed;
    memory.candidates = (most + parts - 1) / parts;
    if (memory.candidates * genes > kMaxTensorElements) continue;  // their filters are one tensor
    memory.filters = memory.candidates * filter;
    ChunkLimits rest = limits;
    rest.bytes = static_cast<std::size_t>(std::max<std::int64_t>(0, available - memory.total()));
    const auto chunk = fit_chunk(needs, memory.candidates, count, rest);
    if (!chunk || memory.total() > available) continue;
    memory.chunk = *chunk;
    memory.activations = chunk->streams * needs.bytes(chunk->images, memory.candidates);
    const std::int64_t rows = std::min(limits.rows / 2, chunk->images * memory.candidates);
    if (rows <= best_rows) continue;
    best_rows = rows;
    best = memory;
  }
  if (best) return *best;
  fixed.filters = filter;
  fixed.activations = needs.bytes(1, 1);
  fail(ErrorKind::device,
       "layer '{}': one candidate on one image needs {} of device memory ({} parents, {} cached inputs, {} the "
       "candidate) and {} are left: lower search.parents or data.fitness",
       layer.name, mebibytes_text(fixed.total()), mebibytes_text(fixed.parents), mebibytes_text(fixed.cache),
       mebibytes_text(fixed.filters + fixed.activations), mebibytes_text(available));
}

}  // namespace qnudge::cuda
