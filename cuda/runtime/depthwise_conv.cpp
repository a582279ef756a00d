// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include "device_conv.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/depthwise_task.hpp"

namespace qnudge::cuda {
namespace {

class OwnDepthwiseConv : public DeviceConv {
 public:
  explicit OwnDepthwiseConv(const ConvTask& task)
      : task_(task), description_(fmt::format("depthwise kernel, {} channels a thread", depthwise_lanes(task))) {}

  std::size_t workspace_bytes() const override { return depthwise_table_bytes(task_); }
  bool vendor() const override { return true; }
  const std::string& description() const override { return description_; }
  void enqueue(const ConvPointers& at, int, cudaStream_t stream) const override {
    for (const void* p : {at.x, at.residual, static_cast<const void*>(at.y)}) {
      require(reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(depthwise_lanes(task_)) == 0,
              ErrorKind::internal, "a tensor of a depthwise convolution lies at {}, which is not aligned to {} bytes",
              p, depthwise_lanes(task_));
    }
    launch(depthwise_table(task_, at), stream);
    with_depthwise_conv(task_, at, [&](const auto& op) { launch(op, stream); });
  }

 private:
  const ConvTask task_;
  const std::string description_;
};

}  // namespace

std::shared_ptr<const DeviceConv> make_depthwise_conv(const ConvTask& task) {
  if (depthwise_lanes(task) == 0) return nullptr;
  return std::make_shared<OwnDepthwiseConv>(task);
}

}  // namespace qnudge::cuda
