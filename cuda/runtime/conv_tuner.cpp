// SPDX-License-Identifier: MIT
#include "conv_tuner.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "check.hpp"
#include "conv_operands.hpp"
#include "handles.hpp"
#include "rival_choice.hpp"

namespace qnudge::cuda {
namespace {

Event make_timer() {
  cudaEvent_t event = nullptr;
  QNUDGE_CUDA_CHECK(cudaEventCreate(&event));
  return Event(event);
}

using Rivals = std::span<const std::shared_ptr<const DeviceConv>>;

/// Runs rivals on random operands.
class Trial : public RivalTrial {
 public:
  Trial(const ConvTask& task, Rivals rivals, std::size_t workspace_bytes, cudaStream_t stream)
      : rivals_(rivals),
        stream_(stream),
        operands_(task),
        workspace_(allocate_for_trial(static_cast<std::int64_t>(workspace_bytes))) {}

  bool equal(std::size_t rival) override {
    operands_.spoil();
    rivals_[rival]->enqueue(operands_.pointers(workspace_.get()), 0, stream_);
    return operands_.differing() == 0;
  }

  float milliseconds(std::size_t rival, int launches) override {
    const ConvPointers at = operands_.pointers(workspace_.get());
    QNUDGE_CUDA_CHECK(cudaEventRecord(begun_.get(), stream_));
    for (int i = 0; i < launches; ++i) rivals_[rival]->enqueue(at, 0, stream_);
    QNUDGE_CUDA_CHECK(cudaEventRecord(ended_.get(), stream_));
    check_stopped(cudaEventSynchronize(ended_.get()));
    float time = 0;
    QNUDGE_CUDA_CHECK(cudaEventElapsedTime(&time, begun_.get(), ended_.get()));
    return time / static_cast<float>(launches);
  }

  void check_device() override { check_stopped(cudaDeviceSynchronize()); }

 private:
  const Rivals rivals_;
  const cudaStream_t stream_;
  ConvOperands operands_;
  const TrialMemory workspace_;
  const Event begun_ = make_timer(), ended_ = make_timer();
};

}  // namespace

std::optional<std::size_t> fastest_conv(const ConvTask& task, Rivals rivals, cudaStream_t stream) {
  std::vector<std::size_t> workspaces;
  std::vector<std::string> names;
  for (const auto& rival : rivals) {
    workspaces.push_back(rival->workspace_bytes());
    names.push_back(rival->description());
  }
  const std::vector<std::size_t> affordable = affordable_rivals(workspaces);
  if (affordable.size() < 2) return std::nullopt;
  std::size_t workspace = 0;
  for (const std::size_t rival : affordable) workspace = std::max(workspace, workspaces[rival]);
  Trial trial(task, rivals, workspace, stream);
  return fastest_rival(task_text(task), names, affordable, trial);
}

}  // namespace qnudge::cuda
