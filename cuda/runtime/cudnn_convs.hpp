// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <vector>

#include "cuda/cudnn/conv_plan.hpp"
#include "device_conv.hpp"

namespace qnudge::cuda {

/// One handle per stream: handles must not be shared by what runs at the same time.
class CudnnHandles {
 public:
  CudnnHandles(const Cudnn& api, int streams);
  CudnnHandles(const CudnnHandles&) = delete;
  CudnnHandles& operator=(const CudnnHandles&) = delete;
  ~CudnnHandles();
  cudnnHandle_t first() const { return handles_.front(); }
  cudnnHandle_t on(int index, cudaStream_t stream) const;

 private:
  const Cudnn& api_;
  std::vector<cudnnHandle_t> handles_;
};

/// `plan`, made for `task` in `form`, as a convolution that a stream can run.
std::shared_ptr<const DeviceConv> make_cudnn_conv(std::shared_ptr<const CudnnHandles> handles,
                                                  std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
                                                  const ConvForm& form);

}  // namespace qnudge::cuda
