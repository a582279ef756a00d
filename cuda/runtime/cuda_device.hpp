// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <memory>
#include <vector>

#include "device_conv.hpp"
#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {

struct DestroyStream {
  void operator()(cudaStream_t s) const noexcept { cudaStreamDestroy(s); }
};
struct DestroyEvent {
  void operator()(cudaEvent_t e) const noexcept { cudaEventDestroy(e); }
};
using Stream = std::unique_ptr<CUstream_st, DestroyStream>;
using Event = std::unique_ptr<CUevent_st, DestroyEvent>;

/// The current NVIDIA GPU through the CUDA runtime.
class CudaDevice : public Device {
 public:
  CudaDevice(std::string description, int streams, std::unique_ptr<ConvPlanner> planner);

  std::string description() const override { return description_; }
  std::size_t free_bytes() const override;
  int streams() const override { return static_cast<int>(streams_.size()); }
  Memory allocate(std::size_t bytes, const std::string& what) override;
  std::shared_ptr<Mailbox> allocate_mailbox() override;
  void upload(void* to, const void* from, std::size_t bytes) override;
  void download(void* to, const void* from, std::size_t bytes) override;
  ConvHandle prepare_conv(const ConvTask& task, int code_bits) override;
  void run(const Program& program) override;
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) override;
  std::int64_t sum(const std::int64_t* values, std::int64_t count) override;
  void wait() override;

 private:
  struct Enqueue;
  cudaStream_t stream(int index) const { return streams_[static_cast<std::size_t>(index)].get(); }

  const std::string description_;
  const std::unique_ptr<ConvPlanner> planner_;
  std::vector<Stream> streams_;
  std::vector<Event> forked_, joined_;  // by stream
  std::array<Event, 2> generations_;    // ends of the last generations enqueued
};

}  // namespace qnudge::cuda
