// SPDX-License-Identifier: MIT
#include "chunk_size.hpp"

#include <algorithm>

#include "qnudge/backend/layer_plan.hpp"
#include "qnudge/backend/tensor_placement.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

/// Bytes per image and candidate that a program over `nodes` holds at once, workspaces apart.
std::size_t bytes_per_row(const IntNetwork& network, const std::vector<int>& nodes) {
  std::vector<std::size_t> bytes(network.nodes.size());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const bool is_float = static_cast<int>(i) == network.output && network.float_output();
    bytes[i] = static_cast<std::size_t>(network.nodes[i].shape.size()) * (is_float ? sizeof(float) : 1);
  }
  std::vector<bool> outside(bytes.size(), true);
  std::vector<TensorStep> steps;
  for (int i : nodes) {
    if (storage_node(network, i) != i) continue;
    outside[static_cast<std::size_t>(i)] = false;
    steps.push_back({i, {}});
    for (int in : network.at(i).inputs) steps.back().reads.push_back(storage_node(network, in));
  }
  return place_tensors(steps, bytes, outside, std::vector<bool>(bytes.size())).bytes;
}

}  // namespace

ChunkChoice choose_chunk(const DeviceNetwork& network, const std::vector<int>& nodes, std::int64_t candidates,
                         std::int64_t count, const ChunkLimits& limits) {
  constexpr std::int64_t kMaxElements = (std::int64_t{1} << 31) - 1;
  const auto with_streams = [&](std::int64_t images, int streams) {
    const std::int64_t chunks = (count + images - 1) / images;
    return ChunkChoice{images, static_cast<int>(std::min<std::int64_t>(streams, chunks))};
  };
  if (limits.images > 0) return with_streams(std::min(limits.images, count), limits.streams);
  const IntNetwork& n = network.description();
  const auto row = static_cast<std::int64_t>(std::max<std::size_t>(1, bytes_per_row(n, nodes)));
  std::int64_t largest = 1;
  for (int i : nodes) largest = std::max(largest, n.at(i).shape.size());

  const auto total = static_cast<std::int64_t>(limits.bytes), need = row * candidates;
  require(total >= need, ErrorKind::device,
          "one image with {} candidates needs {:.1f} MiB of device memory for its activations and {:.1f} MiB are left: "
          "lower search.chunk",
          candidates, static_cast<double>(need) / 1048576.0, static_cast<double>(total) / 1048576.0);
  const std::int64_t by_elements = kMaxElements / (largest * candidates);
  require(by_elements > 0, ErrorKind::device,
          "one image with {} candidates has an activation of {} elements, more than the 2^31 - 1 that a plan may have: "
          "lower search.chunk",
          candidates, largest * candidates);
  const int streams = static_cast<int>(std::min<std::int64_t>(limits.streams, total / need));
  const std::int64_t wanted = std::max<std::int64_t>(1, limits.rows / candidates);
  return with_streams(std::min({wanted, total / streams / need, by_elements, count}), streams);
}

}  // namespace qnudge::cuda
