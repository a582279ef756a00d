// SPDX-License-Identifier: MIT
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "byte_products.hpp"
#include "device_conv.hpp"
#include "handles.hpp"

namespace qnudge::cuda {

/// Streams of one nesting depth with the events that order them.
struct StreamSet {
  explicit StreamSet(int count);
  cudaStream_t at(int index) const { return streams[static_cast<std::size_t>(index)].get(); }

  std::vector<Stream> streams;
  std::vector<Event> forked, joined;  // by stream
};

/// Enqueues programs: on streams, or, while these are being captured, into a graph. Inside a graph a Loop becomes a
/// WHILE node whose body is captured on streams of its own.
class ProgramRunner {
 public:
  explicit ProgramRunner(int streams);

  cudaStream_t main_stream() const { return outer_.at(0); }
  int streams() const { return static_cast<int>(outer_.streams.size()); }
  void enqueue(const Program& program);

  /// Between the two everything enqueued becomes a node of `graph`.
  void begin_capture(cudaGraph_t graph);
  void end_capture();
  /// Instead of `end_capture` after an exception.
  void abandon_capture() noexcept;
  /// Bodies of the WHILE nodes captured, by node: the runtime has no way to ask for them.
  using Bodies = std::map<cudaGraphNode_t, cudaGraph_t>;
  const Bodies& bodies() const { return bodies_; }

 private:
  struct Enqueue;
  void enqueue(const Program& program, const StreamSet& streams);
  void loop(const Loop& loop, const StreamSet& streams);
  void loop_in_graph(const Loop& loop);

  StreamSet outer_, inner_;
  std::unique_ptr<ByteProducts> products_;  // made when first asked for: the library is large
  bool capturing_ = false;
  Bodies bodies_;
};

struct WhileNode {
  cudaGraphNode_t node;
  cudaGraph_t body;  ///< empty; owned by the graph
};
/// A new WHILE node of `graph` behind the nodes `after`.
WhileNode add_while_node(cudaGraph_t graph, cudaGraphConditionalHandle handle, const cudaGraphNode_t* after,
                         const cudaGraphEdgeData* edges, std::size_t count);

}  // namespace qnudge::cuda
