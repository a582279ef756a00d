// SPDX-License-Identifier: MIT
#include "chunk_size.hpp"

#include <algorithm>

#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/backend/tensor_placement.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/conv_task.hpp"

namespace qnudge::cuda {

ChunkNeeds chunk_needs(const IntNetwork& network, const std::vector<int>& nodes, const std::vector<int>& gathered) {
  std::vector<std::size_t> bytes(network.nodes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::size_t>(network.nodes[i].shape.size() * network.element_bytes(static_cast<int>(i)));
  }
  ChunkNeeds needs;
  std::vector<bool> outside(bytes.size(), true);
  std::vector<TensorStep> steps;
  for (int i : nodes) {
    needs.largest = std::max(needs.largest, network.at(i).shape.size());
    if (storage_node(network, i) != i) continue;
    outside[static_cast<std::size_t>(i)] = false;
    steps.push_back({i, {}});
    for (int in : network.at(i).inputs) steps.back().reads.push_back(storage_node(network, in));
  }
  const std::size_t arena = place_tensors(steps, bytes, outside, std::vector<bool>(bytes.size())).bytes;
  needs.row_bytes = std::max<std::int64_t>(1, static_cast<std::int64_t>(arena));
  for (int i : gathered) needs.image_bytes += network.at(i).shape.size() * network.element_bytes(i);
  return needs;
}

std::optional<ChunkChoice> fit_chunk(const ChunkNeeds& needs, std::int64_t candidates, std::int64_t count,
                                     const ChunkLimits& limits) {
  const auto total = static_cast<std::int64_t>(limits.bytes), one = needs.bytes(1, candidates);
  std::int64_t images = std::min(limits.images, count);
  std::int64_t streams = limits.streams;
  if (images <= 0) {
    images = std::min(count, kMaxTensorElements / (needs.largest * candidates));
    if (total < one || images < 1) return std::nullopt;
    streams = std::min(streams, total / one);
    const std::int64_t wanted = std::max<std::int64_t>(1, limits.rows / candidates);
    images = std::min({images, wanted, total / streams / one});
    streams = std::min(streams, (count + images - 1) / images);
    const std::int64_t rounds = (count + images * streams - 1) / (images * streams);
    images = (count + rounds * streams - 1) / (rounds * streams);  // so that the last round has as much to do
  }
  return ChunkChoice{images, static_cast<int>(std::min(streams, (count + images - 1) / images))};
}

ChunkChoice choose_chunk(const IntNetwork& network, const std::vector<int>& nodes, std::int64_t count,
                         const ChunkLimits& limits) {
  const ChunkNeeds needs = chunk_needs(network, nodes, {});
  const auto choice = fit_chunk(needs, 1, count, limits);
  require(choice.has_value(), ErrorKind::device,
          "one image needs {} of device memory for its activations and {} are left", mebibytes_text(needs.bytes(1, 1)),
          mebibytes_text(static_cast<std::int64_t>(limits.bytes)));
  return *choice;
}

std::string mebibytes_text(std::int64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / 1048576.0);
}

}  // namespace qnudge::cuda
