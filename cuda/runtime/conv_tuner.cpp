// SPDX-License-Identifier: MIT
#include "conv_tuner.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "check.hpp"
#include "handles.hpp"
#include "launch.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/plain_task.hpp"

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

/// Operands that make outputs spread over the code range, with ties and saturation among them.
class Trial {
 public:
  Trial(const ConvTask& task, std::size_t workspace_bytes) : task_(task) {
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

  void prepare(cudaStream_t stream) {
    launch(RandomCodes{codes(x_), 1}, inputs_, stream);
    launch(RandomCodes{codes(w_), 2}, weights_, stream);
    launch(RandomCodes{codes(residual_), 3}, task_.epilogue.addition ? outputs_ : 1, stream);
    const std::vector<float> bias(static_cast<std::size_t>(channels_), 1.0f);
    // Products of two uniform codes have a deviation of 74^2, and taps add up like a walk.
    const double spread = 74.0 * 74.0 * std::sqrt(static_cast<double>(task_.filter.taps()));
    const auto scale = static_cast<float>(std::exp2(std::round(std::log2(64.0 / spread))));
    const std::vector<float> multiplier(static_cast<std::size_t>(channels_), scale);
    for (const auto& [to, from] : {std::pair(&bias_, &bias), std::pair(&multiplier_, &multiplier)}) {
      QNUDGE_CUDA_CHECK(
          cudaMemcpyAsync(to->get(), from->data(), from->size() * sizeof(float), cudaMemcpyHostToDevice, stream));
    }
    launch(plain_conv<std::int8_t>(task_, pointers(wanted_)), outputs_, stream);
    check_stopped(cudaStreamSynchronize(stream));
  }

  bool equal(const DeviceConv& conv, cudaStream_t stream) {
    QNUDGE_CUDA_CHECK(cudaMemsetAsync(found_.get(), 0x55, static_cast<std::size_t>(output_bytes()), stream));
    QNUDGE_CUDA_CHECK(cudaMemsetAsync(differing_.get(), 0, 8, stream));
    conv.enqueue(pointers(found_), 0, stream);
    std::int64_t differing = 0;
    count_differing(wanted_.get(), found_.get(), output_bytes(), reinterpret_cast<std::int64_t*>(differing_.get()),
                    stream);
    QNUDGE_CUDA_CHECK(cudaMemcpyAsync(&differing, differing_.get(), 8, cudaMemcpyDeviceToHost, stream));
    check_stopped(cudaStreamSynchronize(stream));
    return differing == 0;
  }

  /// Median of five.
  float milliseconds(const DeviceConv& conv, cudaStream_t stream) {
    std::array<float, 5> times{};
    for (float& time : times) {
      QNUDGE_CUDA_CHECK(cudaEventRecord(begun_.get(), stream));
      conv.enqueue(pointers(found_), 0, stream);
      QNUDGE_CUDA_CHECK(cudaEventRecord(ended_.get(), stream));
      check_stopped(cudaEventSynchronize(ended_.get()));
      QNUDGE_CUDA_CHECK(cudaEventElapsedTime(&time, begun_.get(), ended_.get()));
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  }

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
  std::int64_t inputs_ = 0, weights_ = 0, channels_ = 0, outputs_ = 0;
  DeviceMemory x_, w_, bias_, multiplier_, residual_, wanted_, found_, differing_, workspace_;
  const Event begun_ = make_timer(), ended_ = make_timer();
};

}  // namespace

std::optional<std::size_t> fastest_conv(const ConvTask& task,
                                        std::span<const std::shared_ptr<const DeviceConv>> rivals) {
  if (rivals.size() < 2) return std::nullopt;
  std::size_t workspace = 0;
  for (const auto& rival : rivals) workspace = std::max(workspace, rival->workspace_bytes());
  Trial trial(task, workspace);
  if (!trial.fits()) {
    spdlog::info("{}: not tuned, the operands do not fit the device's free memory", task_text(task));
    return std::nullopt;
  }
  const Stream stream = make_stream();
  trial.prepare(stream.get());
  std::optional<std::size_t> fastest;
  float best = 0;
  for (std::size_t i = 0; i < rivals.size(); ++i) {
    if (!trial.equal(*rivals[i], stream.get())) {
      spdlog::warn("{}: {} gives other bytes than the plain kernel; it is not used", task_text(task),
                   rivals[i]->description());
      continue;
    }
    const float time = trial.milliseconds(*rivals[i], stream.get());
    spdlog::debug("{}: {:.3f} ms, {}", task_text(task), time, rivals[i]->description());
    if (fastest && time >= best) continue;
    fastest = i;
    best = time;
  }
  return fastest;
}

}  // namespace qnudge::cuda
