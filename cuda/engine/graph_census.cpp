// SPDX-License-Identifier: MIT
#include "qnudge/cuda/graph_census.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

namespace qnudge::cuda {
namespace {

const char* name_of(GraphNodeKind kind) {
  switch (kind) {
    case GraphNodeKind::kernel:
      return "kernel";
    case GraphNodeKind::memset:
      return "memset";
    case GraphNodeKind::device_copy:
      return "copy on the device";
    case GraphNodeKind::pinned_copy:
      return "copy with pinned memory";
    case GraphNodeKind::pageable_copy:
      return "copy with pageable memory";
    case GraphNodeKind::empty:
      return "empty node";
    case GraphNodeKind::child:
      return "child graph";
    case GraphNodeKind::loop:
      return "loop";
    case GraphNodeKind::host_call:
      return "host call";
    case GraphNodeKind::event:
      return "event";
    case GraphNodeKind::semaphore:
      return "semaphore";
    case GraphNodeKind::allocation:
      return "allocation";
    case GraphNodeKind::other:
      return "node of unknown kind";
  }
  return "node";
}

bool needs_the_host(GraphNodeKind kind) {
  switch (kind) {
    case GraphNodeKind::kernel:
    case GraphNodeKind::memset:
    case GraphNodeKind::device_copy:
    case GraphNodeKind::pinned_copy:
    case GraphNodeKind::empty:
    case GraphNodeKind::child:
    case GraphNodeKind::loop:
      return false;
    default:
      return true;
  }
}

void count(const std::vector<GraphNode>& nodes, const std::string& where, int depth, GraphCensus& census) {
  census.depth = std::max(census.depth, depth);
  const auto problem = [&](const std::string& sentence) {
    if (census.problem.empty()) census.problem = sentence;
  };
  for (const GraphNode& node : nodes) {
    ++census.counts[node.kind];
    if (needs_the_host(node.kind)) problem(fmt::format("{} holds a {}", where, name_of(node.kind)));
    const bool loop = node.kind == GraphNodeKind::loop;
    const auto is_kernel = [](const GraphNode& inner) { return inner.kind == GraphNodeKind::kernel; };
    if (loop && std::none_of(node.inside.begin(), node.inside.end(), is_kernel)) {
      problem(fmt::format("{} holds a loop that no kernel ends", where));
    }
    count(node.inside, loop ? fmt::format("a loop in {}", where) : where, depth + (loop ? 1 : 0), census);
  }
}

}  // namespace

std::map<std::string, std::int64_t> GraphCensus::by_name() const {
  std::map<std::string, std::int64_t> names;
  for (const auto& [kind, number] : counts) names[name_of(kind)] = number;
  return names;
}

std::string GraphCensus::text() const {
  std::string text;
  for (const auto& [kind, number] : counts) {
    text += fmt::format("{}{} x {}", text.empty() ? "" : ", ", number, name_of(kind));
  }
  return text;
}

GraphCensus take_census(const std::vector<GraphNode>& nodes) {
  GraphCensus census;
  if (nodes.empty()) census.problem = "the graph is empty";
  count(nodes, "the graph", 0, census);
  return census;
}

std::vector<GraphNode> nodes_of(const Program& program) {
  std::vector<GraphNode> nodes;
  for (const Program::Step& step : program.steps) {
    std::visit(
        [&](const auto& command) {
          using C = std::decay_t<decltype(command)>;
          if constexpr (std::is_same_v<C, Fork> || std::is_same_v<C, Join>) {
            return;  // edges
          } else if constexpr (std::is_same_v<C, FillBytes>) {
            nodes.push_back({GraphNodeKind::memset, {}});
          } else if constexpr (std::is_same_v<C, CopyBytes>) {
            nodes.push_back({GraphNodeKind::device_copy, {}});
          } else if constexpr (std::is_same_v<C, Loop>) {
            nodes.push_back({GraphNodeKind::kernel, {}});  // sets the counter
            GraphNode loop{GraphNodeKind::loop, nodes_of(*command.body)};
            loop.inside.push_back({GraphNodeKind::kernel, {}});  // counts
            nodes.push_back(std::move(loop));
          } else {
            nodes.push_back({GraphNodeKind::kernel, {}});
          }
        },
        step.command);
  }
  return nodes;
}

}  // namespace qnudge::cuda
