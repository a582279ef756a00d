// SPDX-License-Identifier: MIT
#include "qnudge/cuda/graph_launch.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::int64_t number_of(const std::map<std::string, std::int64_t>& nodes) {
  return std::accumulate(nodes.begin(), nodes.end(), std::int64_t{0},
                         [](std::int64_t sum, const auto& entry) { return sum + entry.second; });
}

}  // namespace

bool GraphLaunches::add_reason(const std::string& reason) {
  const auto& all = usage_.reasons;
  if (std::find(all.begin(), all.end(), reason) != all.end()) return false;
  usage_.reasons.push_back(reason);
  return true;
}

void GraphLaunches::count(const GraphCensus& census) {
  ++usage_.one_launch;
  std::map<std::string, std::int64_t> nodes = census.by_name();
  if (number_of(nodes) <= number_of(usage_.nodes)) return;
  usage_.nodes = std::move(nodes);
  usage_.depth = census.depth;
}

std::int32_t GraphLaunches::repeat(const Program& program, std::int32_t times, const StopFlag& stop) {
  if (times <= 0 || stop) return 0;
  std::unique_ptr<PreparedGraph> graph;
  if (graphs_) {
    try {
      graph = prepare_(program, times);
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::device) throw;
      if (add_reason(e.what())) spdlog::warn("generations are enqueued one by one, which is slower: {}", e.what());
    }
  } else {
    add_reason("device.graphs is false");
  }
  if (!graph) {
    ++usage_.one_by_one;
    return one_by_one_(program, times, stop);
  }
  count(graph->census());
  spdlog::debug("one launch for {} generations: {}", times, graph->census().text());
  return graph->run(stop);
}

}  // namespace qnudge::cuda
