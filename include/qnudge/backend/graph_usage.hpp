// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// How a backend that can launch all generations of a layer as one graph has launched them since it was made. What
/// counts is one call of LayerSearch::repeat that had something to do.
struct GraphUsage {
  std::int64_t one_launch = 0;                ///< their generations were one graph
  std::int64_t one_by_one = 0;                ///< each generation was enqueued by the host
  std::map<std::string, std::int64_t> nodes;  ///< of the largest graph, by kind, bodies of loops counted once
  int depth = 0;                              ///< of loops within loops in that graph
  std::vector<std::string> reasons;           ///< why not one graph, each once
};

/// What a backend also is if it can launch generations as a graph.
class GraphLaunching {
 public:
  virtual ~GraphLaunching() = default;
  virtual GraphUsage graph_usage() const = 0;
};

/// Nothing for a backend that knows no graphs.
inline std::optional<GraphUsage> graph_usage(const Backend& backend) {
  const auto* launching = dynamic_cast<const GraphLaunching*>(&backend);
  return launching == nullptr ? std::nullopt : std::optional(launching->graph_usage());
}

}  // namespace qnudge
