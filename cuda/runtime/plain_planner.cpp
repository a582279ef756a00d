// SPDX-License-Identifier: MIT
#include "device_conv.hpp"
#include "launch.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

class PlainDeviceConv : public DeviceConv {
 public:
  PlainDeviceConv(const ConvTask& task, const std::string& reason)
      : task_(task), description_("plain kernel: " + reason) {}

  std::size_t workspace_bytes() const override { return 0; }
  bool vendor() const override { return false; }
  const std::string& description() const override { return description_; }
  void enqueue(const ConvPointers& at, int, cudaStream_t stream) const override {
    with_plain_conv(task_, at, [&](const auto& op) { launch(op, output_elements(task_), stream); });
  }

 private:
  const ConvTask task_;
  const std::string description_;
};

class PlainPlanner : public ConvPlanner {
 public:
  explicit PlainPlanner(std::string reason) : reason_(std::move(reason)) {}
  std::shared_ptr<const DeviceConv> prepare(const ConvTask& task, int) override {
    return std::make_shared<PlainDeviceConv>(task, reason_);
  }
  void prepare_all(std::span<const ConvRequest>) override {}
  std::string description() const override { return "plain kernels (" + reason_ + ")"; }

 private:
  const std::string reason_;
};

}  // namespace

std::unique_ptr<ConvPlanner> make_plain_planner(std::string reason) {
  return std::make_unique<PlainPlanner>(std::move(reason));
}

}  // namespace qnudge::cuda
