// SPDX-License-Identifier: MIT
#include "cudnn_convs.hpp"

#include <fmt/format.h>

#include "launch.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/phases.hpp"

namespace qnudge::cuda {
namespace {

std::size_t aligned_count(std::int64_t elements, std::size_t size) {
  return aligned(static_cast<std::size_t>(elements) * size);
}

/// All candidates in one plan, or one candidate after the other into slices of the output.
class CudnnConv : public DeviceConv {
 public:
  CudnnConv(std::shared_ptr<const CudnnHandles> handles, std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
            const ConvForm& form)
      : handles_(std::move(handles)),
        plan_(std::move(plan)),
        filter_(task.filter),
        half_(form.half),
        inputs_(task.images * task.in.size() * (task.role == ConvRole::shared ? task.candidates : 1)),
        weights_(task.filter.size() * (task.role == ConvRole::wide ? task.candidates : 1)),
        slices_(form.split == ConvForm::Split::candidates ? task.candidates : 1),
        element_(task.epilogue.float_output ? 4 : 1),
        description_(fmt::format("cuDNN, {}, {}", plan_->description(), form_text(form))) {}

  std::size_t workspace_bytes() const override {
    return plan_->workspace_bytes() + (half_ ? x_bytes() + aligned_count(weights_, 2) : 0);
  }
  bool vendor() const override { return true; }
  const std::string& description() const override { return description_; }

  void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const override {
    const cudnnHandle_t handle = handles_->on(stream_index, stream);
    ConvPointers whole = at;
    if (half_) widen(whole, stream);
    for (std::int64_t p = 0; p < slices_; ++p) {
      ConvPointers slice = whole;
      slice.w += p * filter_.size() * (half_ ? 2 : 1);
      slice.bias += p * filter_.k;
      slice.multiplier += p * filter_.k;
      slice.y = static_cast<std::byte*>(at.y) + p * filter_.k * element_;
      if (at.residual != nullptr) slice.residual += p * filter_.k;
      plan_->execute(handle, slice);
    }
  }

 private:
  std::size_t x_bytes() const { return aligned_count(inputs_, 2); }
  /// x and w <- copies as half at the head of the workspace.
  void widen(ConvPointers& at, cudaStream_t stream) const {
    std::byte* const space = static_cast<std::byte*>(at.workspace);
    auto* const x = reinterpret_cast<std::uint16_t*>(space);
    auto* const w = reinterpret_cast<std::uint16_t*>(space + x_bytes());
    launch(HalfCodes{at.x, x}, inputs_, stream);
    launch(HalfCodes{at.w, w}, weights_, stream);
    at.x = reinterpret_cast<const std::int8_t*>(x);
    at.w = reinterpret_cast<const std::int8_t*>(w);
    at.workspace = space + x_bytes() + aligned_count(weights_, 2);
  }

  const std::shared_ptr<const CudnnHandles> handles_;
  const std::shared_ptr<const ConvPlan> plan_;
  const FilterShape filter_;
  const bool half_;
  const std::int64_t inputs_, weights_, slices_, element_;
  const std::string description_;
};

/// A transposed convolution: filters rearranged by phase, then one plan once per phase.
class CudnnPhases : public DeviceConv {
 public:
  CudnnPhases(std::shared_ptr<const CudnnHandles> handles, std::shared_ptr<const ConvPlan> plan, const ConvTask& task)
      : handles_(std::move(handles)),
        plan_(std::move(plan)),
        phases_(phases_of(task)),
        rearrange_{nullptr,       nullptr,      phases_.h, phases_.w, task.role == ConvRole::wide ? task.candidates : 1,
                   task.filter.k, task.filter.c},
        pixel_(task.candidates * task.filter.k),
        row_(task.out.w * pixel_),
        element_(task.epilogue.float_output ? 4 : 1),
        description_(fmt::format("cuDNN, {}, {} phases", plan_->description(), phases_.count())) {}

  std::size_t workspace_bytes() const override { return filter_bytes() + plan_->workspace_bytes(); }
  bool vendor() const override { return true; }
  const std::string& description() const override { return description_; }

  void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const override {
    PhaseFilter rearrange = rearrange_;
    rearrange.from = at.w;
    rearrange.to = static_cast<std::int8_t*>(at.workspace);
    launch(rearrange, stream);
    const cudnnHandle_t handle = handles_->on(stream_index, stream);
    for (std::int64_t phase = 0; phase < phases_.count(); ++phase) {
      const std::int64_t offset = phase / phases_.w.phases * row_ + phase % phases_.w.phases * pixel_;
      ConvPointers part = at;
      part.w = rearrange.to + phase * rearrange.phase_size();
      part.y = static_cast<std::byte*>(at.y) + offset * element_;
      if (at.residual != nullptr) part.residual += offset;
      part.workspace = static_cast<std::byte*>(at.workspace) + filter_bytes();
      plan_->execute(handle, part);
    }
  }

 private:
  std::size_t filter_bytes() const { return aligned(static_cast<std::size_t>(rearrange_.size())); }

  const std::shared_ptr<const CudnnHandles> handles_;
  const std::shared_ptr<const ConvPlan> plan_;
  const Phases phases_;
  const PhaseFilter rearrange_;
  const std::int64_t pixel_, row_, element_;
  const std::string description_;
};

}  // namespace

CudnnHandles::CudnnHandles(const Cudnn& api, int streams) : api_(api), handles_(static_cast<std::size_t>(streams)) {
  for (cudnnHandle_t& handle : handles_) check_cudnn(api_, api_.create(&handle), "a handle");
}

CudnnHandles::~CudnnHandles() {
  for (cudnnHandle_t handle : handles_) api_.destroy(handle);
}

cudnnHandle_t CudnnHandles::on(int index, cudaStream_t stream) const {
  cudnnHandle_t handle = handles_[static_cast<std::size_t>(index)];
  check_cudnn(api_, api_.set_stream(handle, stream), "a stream");
  return handle;
}

std::shared_ptr<const DeviceConv> make_cudnn_conv(std::shared_ptr<const CudnnHandles> handles,
                                                  std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
                                                  const ConvForm& form) {
  if (form == ConvForm::phases) return std::make_shared<CudnnPhases>(std::move(handles), std::move(plan), task);
  return std::make_shared<CudnnConv>(std::move(handles), std::move(plan), task, form);
}

}  // namespace qnudge::cuda
