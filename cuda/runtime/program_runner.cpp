// SPDX-License-Identifier: MIT
#include "program_runner.hpp"

#include "check.hpp"
#include "launch.hpp"
#include "loops.hpp"
#include "nvtx_range.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

constexpr cudaStreamCaptureMode kCaptureMode = cudaStreamCaptureModeThreadLocal;

}  // namespace

Stream make_stream() {
  cudaStream_t stream = nullptr;
  QNUDGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  QNUDGE_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

StreamSet::StreamSet(int count) {
  for (int s = 0; s < count; ++s) {
    streams.push_back(make_stream());
    forked.push_back(make_event());
    joined.push_back(make_event());
  }
}

ProgramRunner::ProgramRunner(int streams) : outer_(streams), inner_(streams) {}

/// One command on one stream.
struct ProgramRunner::Enqueue {
  ProgramRunner& runner;
  const StreamSet& set;
  int index;

  cudaStream_t stream() const { return set.at(index); }

  void operator()(const RunConv& c) const {
    const NvtxRange range("convolution");
    static_cast<const DeviceConv&>(*c.conv).enqueue(c.at, index, stream());
  }
  void operator()(const ByteProduct& c) const {
    const NvtxRange range("product of bytes");
    require(index == 0, ErrorKind::internal, "products of bytes share a workspace and belong on stream 0");
    if (!runner.products_) runner.products_ = make_byte_products();
    runner.products_->enqueue(c, stream());
  }
  void operator()(const FillBytes& c) const { QNUDGE_CUDA_CHECK(cudaMemsetAsync(c.to, c.value, c.bytes, stream())); }
  void operator()(const CopyBytes& c) const {
    QNUDGE_CUDA_CHECK(cudaMemcpyAsync(c.to, c.from, c.bytes, cudaMemcpyDeviceToDevice, stream()));
  }
  void operator()(const Loop& c) const { runner.loop(c, set); }
  void operator()(const Fork& c) const { depend(0, c.stream, set.forked[static_cast<std::size_t>(c.stream)]); }
  void operator()(const Join& c) const { depend(c.stream, 0, set.joined[static_cast<std::size_t>(c.stream)]); }
  template <class Kernel>
  void operator()(const Kernel& c) const {
    const NvtxRange range(phase(c));
    launch(c, stream());
  }

 private:
  static const char* phase(const ForEach&) { return "element-wise"; }
  static const char* phase(const ForEachDrawing& c) {
    return std::holds_alternative<RegenerateSurvivors>(c.op) ? "survivors" : "mutate";
  }
  static const char* phase(const ForEachTeam& c) {
    return std::holds_alternative<EvolveOffspring>(c.op) ? "evolve by channel" : "select by channel";
  }
  static const char* phase(const SumTaps&) { return "sums of inputs"; }
  static const char* phase(const SumErrors&) { return "errors by channel"; }
  static const char* phase(const Score&) { return "score"; }
  static const char* phase(const Evaluate&) { return "score"; }
  static const char* phase(const Rank&) { return "select"; }
  static const char* phase(const EndGeneration&) { return "end of a generation"; }
  static const char* phase(const EndChannels&) { return "end of a generation"; }

  void depend(int first, int second, const Event& event) const {
    QNUDGE_CUDA_CHECK(cudaEventRecord(event.get(), set.at(first)));
    QNUDGE_CUDA_CHECK(cudaStreamWaitEvent(set.at(second), event.get(), 0));
  }
};

void ProgramRunner::enqueue(const Program& program) {
  enqueue(program, outer_);
}

void ProgramRunner::enqueue(const Program& program, const StreamSet& streams) {
  for (const Program::Step& step : program.steps) std::visit(Enqueue{*this, streams, step.stream}, step.command);
}

void ProgramRunner::loop(const Loop& loop, const StreamSet& streams) {
  if (capturing_) return loop_in_graph(loop);
  QNUDGE_CUDA_CHECK(cudaMemsetAsync(loop.round, 0, sizeof *loop.round, streams.at(0)));
  for (std::int32_t i = 0; i < loop.times; ++i) {
    enqueue(*loop.body, streams);
    count_round(loop.round, streams.at(0));
  }
}

void ProgramRunner::loop_in_graph(const Loop& loop) {
  const cudaStream_t stream = outer_.at(0);  // loops nest one deep
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaGraph_t graph = nullptr;
  QNUDGE_CUDA_CHECK(cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph));
  cudaGraphConditionalHandle handle{};
  QNUDGE_CUDA_CHECK(cudaGraphConditionalHandleCreate(&handle, graph, 0, 0));
  begin_loop(handle, loop.round, stream);

  const cudaGraphNode_t* after = nullptr;
  const cudaGraphEdgeData* edges = nullptr;
  std::size_t count = 0;
  QNUDGE_CUDA_CHECK(cudaStreamGetCaptureInfo(stream, &status, nullptr, &graph, &after, &edges, &count));
  WhileNode node = add_while_node(graph, handle, after, edges, count);
  bodies_[node.node] = node.body;
  QNUDGE_CUDA_CHECK(
      cudaStreamUpdateCaptureDependencies(stream, &node.node, nullptr, 1, cudaStreamSetCaptureDependencies));

  QNUDGE_CUDA_CHECK(cudaStreamBeginCaptureToGraph(inner_.at(0), node.body, nullptr, nullptr, 0, kCaptureMode));
  enqueue(*loop.body, inner_);
  end_round(handle, loop.round, loop.times, inner_.at(0));
  QNUDGE_CUDA_CHECK(cudaStreamEndCapture(inner_.at(0), &node.body));
}

void ProgramRunner::begin_capture(cudaGraph_t graph) {
  bodies_.clear();
  QNUDGE_CUDA_CHECK(cudaStreamBeginCaptureToGraph(outer_.at(0), graph, nullptr, nullptr, 0, kCaptureMode));
  capturing_ = true;
}

void ProgramRunner::end_capture() {
  capturing_ = false;
  cudaGraph_t graph = nullptr;
  QNUDGE_CUDA_CHECK(cudaStreamEndCapture(outer_.at(0), &graph));
}

void ProgramRunner::abandon_capture() noexcept {
  capturing_ = false;
  for (const StreamSet* set : {&inner_, &outer_}) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    cudaGraph_t graph = nullptr;
    if (cudaStreamIsCapturing(set->at(0), &status) == cudaSuccess && status != cudaStreamCaptureStatusNone) {
      cudaStreamEndCapture(set->at(0), &graph);
    }
  }
  cudaGetLastError();
}

WhileNode add_while_node(cudaGraph_t graph, cudaGraphConditionalHandle handle, const cudaGraphNode_t* after,
                         const cudaGraphEdgeData* edges, std::size_t count) {
  cudaGraphNodeParams params{};
  params.type = cudaGraphNodeTypeConditional;
  params.conditional.handle = handle;
  params.conditional.type = cudaGraphCondTypeWhile;
  params.conditional.size = 1;
  WhileNode made{};
  QNUDGE_CUDA_CHECK(cudaGraphAddNode(&made.node, graph, after, edges, count, &params));
  made.body = params.conditional.phGraph_out[0];
  return made;
}

}  // namespace qnudge::cuda
