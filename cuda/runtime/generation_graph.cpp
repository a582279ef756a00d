// SPDX-License-Identifier: MIT
#include "generation_graph.hpp"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "check.hpp"
#include "driver_log.hpp"
#include "nvtx_range.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::shared_ptr<GraphControl> make_control() {
  void* data = nullptr;
  QNUDGE_CUDA_CHECK(cudaHostAlloc(&data, sizeof(GraphControl), cudaHostAllocMapped | cudaHostAllocPortable));
  return {new (data) GraphControl{}, [](GraphControl* control) { cudaFreeHost(control); }};
}

GraphNodeKind copy_kind(cudaGraphNode_t node) {
  cudaMemcpy3DParms copy{};
  QNUDGE_CUDA_CHECK(cudaGraphMemcpyNodeGetParams(node, &copy));
  GraphNodeKind kind = GraphNodeKind::device_copy;
  for (const void* p : {copy.srcPtr.ptr, copy.dstPtr.ptr}) {
    cudaPointerAttributes attributes{};
    QNUDGE_CUDA_CHECK(cudaPointerGetAttributes(&attributes, p));
    if (attributes.type == cudaMemoryTypeUnregistered) return GraphNodeKind::pageable_copy;
    if (attributes.type == cudaMemoryTypeHost) kind = GraphNodeKind::pinned_copy;
  }
  return kind;
}

GraphNodeKind kind_of(cudaGraphNode_t node) {
  cudaGraphNodeType type{};
  QNUDGE_CUDA_CHECK(cudaGraphNodeGetType(node, &type));
  switch (type) {
    case cudaGraphNodeTypeKernel:
      return GraphNodeKind::kernel;
    case cudaGraphNodeTypeMemset:
      return GraphNodeKind::memset;
    case cudaGraphNodeTypeMemcpy:
      return copy_kind(node);
    case cudaGraphNodeTypeEmpty:
      return GraphNodeKind::empty;
    case cudaGraphNodeTypeGraph:
      return GraphNodeKind::child;
    case cudaGraphNodeTypeConditional:
      return GraphNodeKind::loop;
    case cudaGraphNodeTypeHost:
      return GraphNodeKind::host_call;
    case cudaGraphNodeTypeWaitEvent:
    case cudaGraphNodeTypeEventRecord:
      return GraphNodeKind::event;
    case cudaGraphNodeTypeExtSemaphoreSignal:
    case cudaGraphNodeTypeExtSemaphoreWait:
      return GraphNodeKind::semaphore;
    case cudaGraphNodeTypeMemAlloc:
    case cudaGraphNodeTypeMemFree:
      return GraphNodeKind::allocation;
    default:
      return GraphNodeKind::other;
  }
}

std::vector<GraphNode> walk(cudaGraph_t graph, const ProgramRunner::Bodies& bodies) {
  std::size_t count = 0;
  QNUDGE_CUDA_CHECK(cudaGraphGetNodes(graph, nullptr, &count));
  std::vector<cudaGraphNode_t> nodes(count);
  QNUDGE_CUDA_CHECK(cudaGraphGetNodes(graph, nodes.data(), &count));
  std::vector<GraphNode> found;
  for (cudaGraphNode_t node : nodes) {
    GraphNode& entry = found.emplace_back(GraphNode{kind_of(node), {}});
    cudaGraph_t inside = nullptr;
    if (entry.kind == GraphNodeKind::child) QNUDGE_CUDA_CHECK(cudaGraphChildGraphNodeGetGraph(node, &inside));
    if (entry.kind == GraphNodeKind::loop) inside = bodies.at(node);
    if (inside != nullptr) entry.inside = walk(inside, bodies);
  }
  return found;
}

/// Hands `stop` on to the device while the host's thread waits for the graph.
class StopRelay {
 public:
  StopRelay(const StopFlag& stop, GraphControl& control)
      : thread_([this, &stop, &control](const std::stop_token& over) {
          std::unique_lock lock(mutex_);
          while (!over.stop_requested()) {
            if (stop) control.stop = 1;
            wake_.wait_for(lock, over, std::chrono::milliseconds(2), [] { return false; });
          }
        }) {}

 private:
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;  // last, so that it ends first
};

}  // namespace

GenerationGraph::GenerationGraph(ProgramRunner& runner, const Program& program, std::int32_t times)
    : runner_(runner), control_(make_control()) {
  const NvtxRange range("record the generations");
  const DriverLog log;
  try {
    capture(program, times);
    instantiate();
  } catch (const Error& e) {
    fail(e.kind(), "{}{}", e.what(), log.text());
  }
}

void GenerationGraph::capture(const Program& program, std::int32_t times) {
  cudaGraph_t graph = nullptr;
  QNUDGE_CUDA_CHECK(cudaGraphCreate(&graph, 0));
  graph_.reset(graph);
  cudaGraphConditionalHandle handle{};
  QNUDGE_CUDA_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 1, cudaGraphCondAssignDefault));
  const WhileNode loop = add_while_node(graph, handle, nullptr, nullptr, 0);
  runner_.begin_capture(loop.body);
  try {
    runner_.enqueue(program);
    end_generations(handle, control_.get(), times, runner_.main_stream());
    runner_.end_capture();
  } catch (...) {
    runner_.abandon_capture();
    throw;
  }
  ProgramRunner::Bodies bodies = runner_.bodies();
  bodies[loop.node] = loop.body;
  census_ = take_census(walk(graph, bodies));
  require(census_.problem.empty(), ErrorKind::device, "a generation cannot run without the host: {}", census_.problem);
}

void GenerationGraph::instantiate() {
  cudaGraphExec_t exec = nullptr;
  QNUDGE_CUDA_CHECK(cudaGraphInstantiate(&exec, graph_.get()));
  exec_.reset(exec);
  // Here and not with the first launch, where what fails could not be had in another way any more.
  QNUDGE_CUDA_CHECK(cudaGraphUpload(exec, runner_.main_stream()));
  QNUDGE_CUDA_CHECK(cudaStreamSynchronize(runner_.main_stream()));
}

std::int32_t GenerationGraph::run(const StopFlag& stop) {
  control_->stop = 0;
  control_->done = 0;
  const StopRelay relay(stop, *control_);
  const NvtxRange range("generations");
  QNUDGE_CUDA_CHECK(cudaGraphLaunch(exec_.get(), runner_.main_stream()));
  check_stopped(cudaStreamSynchronize(runner_.main_stream()));
  return control_->done;
}

}  // namespace qnudge::cuda
