// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "cuda/cudnn/conv_plan.hpp"
#include "device_conv.hpp"
#include "handles.hpp"

namespace qnudge::cuda {

/// A stream that runs beside one of the device's, and the events that fork and join it.
struct Branch {
  cudnnHandle_t handle = nullptr;
  Stream stream;
  Event begun, ended;
};

/// One handle per stream: handles must not be shared by what runs at the same time.
class CudnnHandles {
 public:
  /// Branches per stream, the stream itself not among them.
  static constexpr int kBranches = 3;

  CudnnHandles(const Cudnn& api, int streams);
  CudnnHandles(const CudnnHandles&) = delete;
  CudnnHandles& operator=(const CudnnHandles&) = delete;
  ~CudnnHandles();
  cudnnHandle_t first() const { return handles_.front(); }
  cudnnHandle_t on(int index, cudaStream_t stream) const;
  /// A stream for trying things out; handles set to it never outlive it. Made when first asked for.
  cudaStream_t trial_stream();

  /// Makes every stream's branches; not while a stream is captured. A branch belongs to one capture at a time, so all
  /// that goes round branches in one program must stand inside its loop, or all outside.
  void add_branches();
  const Branch& branch(int index, int b) const { return branches_[static_cast<std::size_t>(index * kBranches + b)]; }

 private:
  const Cudnn& api_;
  Stream trial_stream_;
  std::vector<cudnnHandle_t> handles_;
  std::vector<Branch> branches_;  ///< [streams][kBranches], or none yet
};

/// `plan`, made for `task` in `form`, as a convolution that a stream can run. One candidate at a time means several at
/// once: slices go round the stream and its branches.
std::shared_ptr<const DeviceConv> make_cudnn_conv(const std::shared_ptr<CudnnHandles>& handles,
                                                  std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
                                                  const ConvForm& form);

/// `conv`, made for `task` without its addition, followed by that addition: what some layers are faster with than with
/// an addition fused into cuDNN's graph.
std::shared_ptr<const DeviceConv> with_addition_apart(std::shared_ptr<const DeviceConv> conv, const ConvTask& task);

}  // namespace qnudge::cuda
