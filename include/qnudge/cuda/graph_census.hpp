// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <string>
#include <vector>

#include "qnudge/cuda/commands.hpp"

/// What proves that a graph runs without the host: its nodes, all the way down.
namespace qnudge::cuda {

enum class GraphNodeKind {
  kernel,
  memset,
  device_copy,  ///< device memory on both sides
  pinned_copy,  ///< with pinned host memory
  pageable_copy,
  empty,
  child,  ///< a graph within
  loop,   ///< WHILE, whose body is within
  host_call,
  event,  ///< record or wait
  semaphore,
  allocation,  ///< of memory, or its release
  other
};

struct GraphNode {
  GraphNodeKind kind = GraphNodeKind::kernel;
  std::vector<GraphNode> inside;
};

struct GraphCensus {
  std::map<GraphNodeKind, std::int64_t> counts;  ///< at all depths, bodies counted once
  int depth = 0;                                 ///< of nested loops
  std::string problem;                           ///< why the host may be needed before the end; empty: it is not

  std::map<std::string, std::int64_t> by_name() const;  ///< {"kernel": 31, "loop": 2}
  std::string text() const;                             ///< "2 loops, 31 kernels, 1 memset"
};

/// Host calls, events, semaphores, allocations and pageable copies are problems wherever they are; so is a graph that
/// does nothing, and a loop without a kernel to end it.
GraphCensus take_census(const std::vector<GraphNode>& nodes);

/// The nodes that a device makes of `program` at least, for the rules' own test: one per command, loops around bodies.
std::vector<GraphNode> nodes_of(const Program& program);

}  // namespace qnudge::cuda
