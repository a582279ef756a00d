// SPDX-License-Identifier: MIT
#include "conv_tuner.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "check.hpp"
#include "handles.hpp"
#include "launch.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/plain_task.hpp"
#include "rival_choice.hpp"

namespace qnudge::cuda {
namespace {

using DeviceMemory = std::unique_ptr<std::byte, decltype([](std::byte* p) { cudaFree(p); })>;

/// Null where there is none left.
DeviceMemory allocate(std::int64_t bytes) {
  void* data = nullptr;
  if (cudaMalloc(&data, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1))) != cudaSuccess) {
    cudaGetLastError();
    return nullptr;
  }
  return DeviceMemory(static_cast<std::byte*>(data));
}

Event make_timer() {
  cudaEvent_t event = nullptr;
  QNUDGE_CUDA_CHECK(cudaEventCreate(&event));
  return Event(event);
}

using Rivals = std::span<const std::shared_ptr<const DeviceConv>>;

/// Runs rivals on operands that make outputs spread over the code range, with ties and saturation among them.
class Trial : public RivalTrial {
 public:
  Trial(const ConvTask& task, Rivals rivals, std::size_t workspace_bytes, cudaStream_t stream)
      : task_(task), rivals_(rivals), stream_(stream) {
    const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
    const std::int64_t copies = task.role == ConvRole::shared ? task.candidates : 1;
    inputs_ = task.images * copies * task.in.size();
    weights_ = sets * task.filter.size();
    channels_ = sets * task.filter.k;
    outputs_ = output_elements(task);
    const std::int64_t bytes = output_bytes();
    x_ = allocate(inputs_);
    w_ = allocate(weights_);
    bias_ = allocate(channels_ * 4);
    multiplier_ = allocate(channels_ * 4);
    residual_ = allocate(task.epilogue.addition ? outputs_ : 1);
    wanted_ = allocate(bytes);
    found_ = allocate(bytes);
    differing_ = allocate(8);
    workspace_ = allocate(static_cast<std::int64_t>(workspace_bytes));
  }

  bool fits() const {
    return x_ && w_ && bias_ && multiplier_ && residual_ && wanted_ && found_ && differing_ && workspace_;
  }

  void prepare() {
    launch(RandomCodes{codes(x_), 1}, inputs_, stream_);
    launch(RandomCodes{codes(w_), 2}, weights_, stream_);
    launch(RandomCodes{codes(residual_), 3}, task_.epilogue.addition ? outputs_ : 1, stream_);
    const std::vector<float> bias(static_cast<std::size_t>(channels_), 1.0f);
    // Products of two uniform codes have a deviation of 74^2, and taps add up like a walk.
    const double spread = 74.0 * 74.0 * std::sqrt(static_cast<double>(task_.filter.taps()));
    const auto scale = static_cast<float>(std::exp2(std::round(std::log2(64.0 / spread))));
    const std::vector<float> multiplier(static_cast<std::size_t>(channels_), scale);
    for (const auto& [to, from] : {std::pair(&bias_, &bias), std::pair(&multiplier_, &multiplier)}) {
      QNUDGE_CUDA_CHECK(
          cudaMemcpyAsync(to->get(), from->data(), from->size() * sizeof(float), cudaMemcpyHostToDevice, stream_));
    }
    launch(plain_conv<std::int8_t>(task_, pointers(wanted_)), outputs_, stream_);
    check_stopped(cudaStreamSynchronize(stream_));
  }

  bool equal(std::size_t rival) override {
    QNUDGE_CUDA_CHECK(cudaMemsetAsync(found_.get(), 0x55, static_cast<std::size_t>(output_bytes()), stream_));
    QNUDGE_CUDA_CHECK(cudaMemsetAsync(differing_.get(), 0, 8, stream_));
    rivals_[rival]->enqueue(pointers(found_), 0, stream_);
    std::int64_t differing = 0;
    count_differing(wanted_.get(), found_.get(), output_bytes(), reinterpret_cast<std::int64_t*>(differing_.get()),
                    stream_);
    QNUDGE_CUDA_CHECK(cudaMemcpyAsync(&differing, differing_.get(), 8, cudaMemcpyDeviceToHost, stream_));
    check_stopped(cudaStreamSynchronize(stream_));
    return differing == 0;
  }

  float milliseconds(std::size_t rival, int launches) override {
    QNUDGE_CUDA_CHECK(cudaEventRecord(begun_.get(), stream_));
    for (int i = 0; i < launches; ++i) rivals_[rival]->enqueue(pointers(found_), 0, stream_);
    QNUDGE_CUDA_CHECK(cudaEventRecord(ended_.get(), stream_));
    check_stopped(cudaEventSynchronize(ended_.get()));
    float time = 0;
    QNUDGE_CUDA_CHECK(cudaEventElapsedTime(&time, begun_.get(), ended_.get()));
    return time / static_cast<float>(launches);
  }

  void check_device() override { check_stopped(cudaDeviceSynchronize()); }

 private:
  static std::int8_t* codes(const DeviceMemory& memory) { return reinterpret_cast<std::int8_t*>(memory.get()); }
  std::int64_t output_bytes() const { return outputs_ * (task_.epilogue.float_output ? 4 : 1); }
  ConvPointers pointers(const DeviceMemory& y) const {
    return {codes(x_),
            codes(w_),
            reinterpret_cast<const float*>(bias_.get()),
            reinterpret_cast<const float*>(multiplier_.get()),
            codes(residual_),
            y.get(),
            workspace_.get()};
  }

  const ConvTask& task_;
  const Rivals rivals_;
  const cudaStream_t stream_;
  std::int64_t inputs_ = 0, weights_ = 0, channels_ = 0, outputs_ = 0;
  DeviceMemory x_, w_, bias_, multiplier_, residual_, wanted_, found_, differing_, workspace_;
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
  if (!trial.fits()) {
    spdlog::info("{}: not tuned, the operands do not fit the device's free memory", task_text(task));
    return std::nullopt;
  }
  trial.prepare();
  return fastest_rival(task_text(task), names, affordable, trial);
}

}  // namespace qnudge::cuda
