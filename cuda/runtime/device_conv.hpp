// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <span>
#include <string>

#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {

/// A convolution that a stream can run.
class DeviceConv : public PreparedConv {
 public:
  virtual void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const = 0;
};

/// Makes convolutions for one device; remembers those it has made.
class ConvPlanner {
 public:
  virtual ~ConvPlanner() = default;
  virtual std::shared_ptr<const DeviceConv> prepare(const ConvTask& task, int code_bits) = 0;
  /// Makes these side by side, where that saves time; `prepare` then has them at hand.
  virtual void prepare_all(std::span<const ConvRequest> requests) = 0;
  virtual std::string description() const = 0;  ///< of the vendor's library
};

/// By the kernel for depthwise convolutions of codes; nullptr where it does not serve (depthwise_task.hpp).
std::shared_ptr<const DeviceConv> make_depthwise_conv(const ConvTask& task);

/// Every convolution by the plain kernel; `reason` says why no vendor serves.
std::unique_ptr<ConvPlanner> make_plain_planner(std::string reason);

}  // namespace qnudge::cuda
