// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <memory>

#include "nvtx_range.hpp"
#include "program_runner.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/devices.hpp"
#include "qnudge/cuda/graph_launch.hpp"

namespace qnudge::cuda {

/// The current NVIDIA GPU through the CUDA runtime.
class CudaDevice : public Device {
 public:
  CudaDevice(std::string description, const CudaOptions& options, std::unique_ptr<ConvPlanner> planner);

  std::string description() const override { return description_; }
  std::size_t free_bytes() const override;
  int streams() const override { return runner_.streams(); }
  Memory allocate(std::size_t bytes, const std::string& what) override;
  std::shared_ptr<Mailbox> allocate_mailbox() override;
  void upload(void* to, const void* from, std::size_t bytes) override;
  void download(void* to, const void* from, std::size_t bytes) override;
  ConvHandle prepare_conv(const ConvTask& task, int code_bits) override;
  void prepare_convs(std::span<const ConvRequest> requests) override { planner_->prepare_all(requests); }
  void run(const Program& program) override { runner_.enqueue(program); }
  /// As one graph; program by program where the device cannot have it as a graph, with a warning.
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) override {
    return launches_.repeat(program, times, stop);
  }
  GraphUsage graph_usage() const override { return launches_.usage(); }
  std::int64_t sum(const std::int64_t* values, std::int64_t count) override;
  std::shared_ptr<void> annotate(const std::string& name) override { return std::make_shared<NvtxSpan>(name.c_str()); }
  void wait() override;

 private:
  std::int32_t repeat_eagerly(const Program& program, std::int32_t times, const StopFlag& stop);

  const NvtxSpan run_{"run"};
  const std::string description_;
  ProgramRunner runner_;
  const std::unique_ptr<ConvPlanner> planner_;  // behind the streams, to which its handles are set until they end
  std::array<Event, 2> generations_;            // ends of the last generations enqueued one by one
  GraphLaunches launches_;
};

}  // namespace qnudge::cuda
