// SPDX-License-Identifier: MIT
#include "qnudge/model/graph.hpp"

namespace qnudge {

std::vector<std::vector<int>> consumers(const Graph& graph) {
  std::vector<std::vector<int>> readers(graph.nodes.size());
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const int input : graph.nodes[i].inputs) {
      std::vector<int>& list = readers[static_cast<std::size_t>(input)];
      if (list.empty() || list.back() != static_cast<int>(i)) list.push_back(static_cast<int>(i));
    }
  }
  return readers;
}

}  // namespace qnudge
