// SPDX-License-Identifier: MIT
#include "conv_operands.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "check.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

/// A power of two, so that ties are frequent. Products of two uniform codes have a deviation of 74^2, and taps add up
/// like a walk.
float multiplier_of(const ConvTask& task) {
  const double spread = 74.0 * 74.0 * std::sqrt(static_cast<double>(task.filter.taps()));
  return static_cast<float>(std::exp2(std::round(std::log2(64.0 / spread))));
}

std::int8_t* codes(const TrialMemory& memory) {
  return reinterpret_cast<std::int8_t*>(memory.get());
}

const float* floats(const TrialMemory& memory) {
  return reinterpret_cast<const float*>(memory.get());
}

}  // namespace

TrialMemory allocate_for_trial(std::int64_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(ErrorKind::device, "what convolutions are tried on does not fit the device's free memory");
  }
  check(status, "cudaMalloc");
  return TrialMemory(static_cast<std::byte*>(data));
}

ConvOperands::ConvOperands(const ConvTask& task) : task_(task) {
  require(!task.half, ErrorKind::internal, "{}: only codes are tried", task_text(task));
  const std::int64_t copies = task.role == ConvRole::shared ? task.candidates : 1;
  const std::int64_t inputs = task.images * copies * task.in.size();
  const std::int64_t residuals = task.epilogue.addition ? output_elements(task) : 1;
  const std::int64_t channels = task.filter.k * (task.role == ConvRole::wide ? task.candidates : 1);
  const std::vector<float> bias(static_cast<std::size_t>(channels), 1.0f), multiplier(bias.size(), multiplier_of(task));
  x_ = allocate_for_trial(inputs);
  w_ = allocate_for_trial(filter_elements(task));
  residual_ = allocate_for_trial(residuals);
  bias_ = allocate_for_trial(channels * 4);
  multiplier_ = allocate_for_trial(channels * 4);
  wanted_ = allocate_for_trial(output_bytes());
  found_ = allocate_for_trial(output_bytes());
  differing_ = allocate_for_trial(8);
  launch(RandomCodes{codes(x_), 1}, inputs, stream_.get());
  launch(RandomCodes{codes(w_), 2}, filter_elements(task), stream_.get());
  launch(RandomCodes{codes(residual_), 3}, residuals, stream_.get());
  for (const auto& [to, from] : {std::pair(&bias_, &bias), std::pair(&multiplier_, &multiplier)}) {
    QNUDGE_CUDA_CHECK(
        cudaMemcpyAsync(to->get(), from->data(), from->size() * 4, cudaMemcpyHostToDevice, stream_.get()));
  }
  ConvPointers plain = pointers(nullptr);
  plain.y = wanted_.get();
  with_plain_conv(task_, plain, [&](const auto& op) { launch(op, output_elements(task_), stream_.get()); });
  check_stopped(cudaStreamSynchronize(stream_.get()));
}

std::int64_t ConvOperands::output_bytes() const {
  return output_elements(task_) * cuda::output_bytes(task_);
}

ConvPointers ConvOperands::pointers(void* workspace) const {
  return {codes(x_), codes(w_), floats(bias_), floats(multiplier_), codes(residual_), found_.get(), workspace};
}

void ConvOperands::spoil() {
  QNUDGE_CUDA_CHECK(cudaMemsetAsync(found_.get(), 0x5a, static_cast<std::size_t>(output_bytes()), stream_.get()));
  check_stopped(cudaStreamSynchronize(stream_.get()));
}

std::int64_t ConvOperands::differing() {
  check_stopped(cudaDeviceSynchronize());
  std::int64_t count = 0;
  auto* const counter = reinterpret_cast<std::int64_t*>(differing_.get());
  QNUDGE_CUDA_CHECK(cudaMemsetAsync(counter, 0, sizeof count, stream_.get()));
  count_differing(wanted_.get(), found_.get(), output_bytes(), counter, stream_.get());
  QNUDGE_CUDA_CHECK(cudaMemcpyAsync(&count, counter, sizeof count, cudaMemcpyDeviceToHost, stream_.get()));
  check_stopped(cudaStreamSynchronize(stream_.get()));
  return count;
}

}  // namespace qnudge::cuda
