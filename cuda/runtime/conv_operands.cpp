// SPDX-License-Identifier: MIT
#include "conv_operands.hpp"

#include <cmath>

#include "check.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

std::size_t at(std::int64_t count) {
  return static_cast<std::size_t>(count);
}

/// A power of two, so that ties are frequent. Products of two uniform codes have a deviation of 74^2, and taps add up
/// like a walk.
float multiplier_of(const ConvTask& task) {
  const double spread = 74.0 * 74.0 * std::sqrt(static_cast<double>(task.filter.taps()));
  return static_cast<float>(std::exp2(std::round(std::log2(64.0 / spread))));
}

}  // namespace

ConvOperands::ConvOperands(Device& device, const ConvTask& task) : device_(device), task_(task) {
  require(!task.half, ErrorKind::internal, "{}: only codes are tried", task_text(task));
  const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
  const std::int64_t copies = task.role == ConvRole::shared ? task.candidates : 1;
  x_ = {device, at(task.images * copies * task.in.size()), "x"};
  w_ = {device, at(sets * task.filter.size()), "w"};
  residual_ = {device, at(task.epilogue.addition ? output_elements(task) : 1), "residual"};
  const std::vector<float> bias(at(sets * task.filter.k), 1.0f), multiplier(bias.size(), multiplier_of(task));
  bias_ = {device, std::span<const float>(bias), "biases"};
  multiplier_ = {device, std::span<const float>(multiplier), "multipliers"};
  wanted_ = {device, at(output_bytes()), "y"};
  found_ = {device, at(output_bytes()), "y"};
  differing_ = {device, 1, "a count"};
  std::uint32_t seed = 0;
  for (const DeviceArray<std::int8_t>* codes : {&x_, &w_, &residual_}) {
    launch(RandomCodes{codes->data(), ++seed}, static_cast<std::int64_t>(codes->size()), stream_.get());
  }
  ConvPointers plain = pointers(nullptr);
  plain.y = wanted_.data();
  with_plain_conv(task_, plain, [&](const auto& op) { launch(op, output_elements(task_), stream_.get()); });
  check_stopped(cudaStreamSynchronize(stream_.get()));
}

std::int64_t ConvOperands::output_bytes() const {
  return output_elements(task_) * cuda::output_bytes(task_);
}

ConvPointers ConvOperands::pointers(void* workspace) const {
  return {x_.data(), w_.data(), bias_.data(), multiplier_.data(), residual_.data(), found_.data(), workspace};
}

void ConvOperands::spoil() {
  QNUDGE_CUDA_CHECK(cudaMemsetAsync(found_.data(), 0x5a, found_.size(), stream_.get()));
  check_stopped(cudaStreamSynchronize(stream_.get()));
}

std::int64_t ConvOperands::differing() {
  const std::int64_t none = 0;
  differing_.set({&none, 1});
  device_.wait();
  count_differing(wanted_.data(), found_.data(), output_bytes(), differing_.data(), stream_.get());
  check_stopped(cudaStreamSynchronize(stream_.get()));
  return differing_.get().front();
}

}  // namespace qnudge::cuda
