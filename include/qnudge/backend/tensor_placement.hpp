// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace qnudge {

/// One step of a program as memory sees it; tensors are named by the node that owns their bytes.
struct TensorStep {
  int writes = -1;
  std::vector<int> reads;
};

/// Where the tensors of a program lie in one arena, whose space is reused after a tensor's last reader.
struct TensorPlacement {
  struct Entry {
    int node;
    std::size_t offset;
  };
  std::vector<Entry> entries;
  std::size_t bytes = 0;  ///< of the arena
};

/// Places what `steps` write. `bytes`: by node. `outside`: by node, lives elsewhere and takes no space. `kept`: by
/// node, survives to the end. A step's output never shares bytes with anything that the step reads.
TensorPlacement place_tensors(std::span<const TensorStep> steps, std::span<const std::size_t> bytes,
                              const std::vector<bool>& outside, const std::vector<bool>& kept);

}  // namespace qnudge
