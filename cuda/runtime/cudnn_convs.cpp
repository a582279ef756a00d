// SPDX-License-Identifier: MIT
#include "cudnn_convs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "check.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/phases.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

std::size_t aligned_count(std::int64_t elements, std::size_t size) {
  return aligned(static_cast<std::size_t>(elements) * size);
}

const void* advanced(const void* p, std::int64_t bytes) {
  return p == nullptr ? nullptr : static_cast<const std::byte*>(p) + bytes;
}

/// All candidates in one plan, or one candidate at a time into slices of the output, on parallel branches.
class CudnnConv : public DeviceConv {
 public:
  CudnnConv(std::shared_ptr<const CudnnHandles> handles, std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
            const ConvForm& form)
      : handles_(std::move(handles)),
        plan_(std::move(plan)),
        filter_(task.filter),
        widens_(form.half),
        inputs_(task.images * task.in.size() * (task.role == ConvRole::shared ? task.candidates : 1)),
        weights_(task.filter.size() * (task.role == ConvRole::wide ? task.candidates : 1)),
        slices_(form.split == ConvForm::Split::candidates ? task.candidates : 1),
        operand_(form.half ? 2 : operand_bytes(task)),
        residual_(operand_bytes(task)),
        output_(output_bytes(task)),
        description_(fmt::format("cuDNN, {}, {}", plan_->description(), form_text(form))) {}

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(lanes()) * aligned(plan_->workspace_bytes()) + widened_bytes();
  }
  bool vendor() const override { return true; }
  const std::string& description() const override { return description_; }

  void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const override {
    ConvPointers whole = at;
    if (widens_) widen(whole, stream);
    fork(stream_index, stream);
    for (std::int64_t p = 0; p < slices_; ++p) {
      const std::int64_t lane = p % lanes();
      ConvPointers slice = whole;
      slice.w = advanced(whole.w, p * filter_.size() * operand_);
      slice.bias += p * filter_.k;
      slice.multiplier += p * filter_.k;
      slice.y = static_cast<std::byte*>(at.y) + p * filter_.k * output_;
      slice.residual = advanced(at.residual, p * filter_.k * residual_);
      slice.workspace =
          static_cast<std::byte*>(whole.workspace) + static_cast<std::size_t>(lane) * aligned(plan_->workspace_bytes());
      plan_->execute(handle_of(lane, stream_index, stream), slice);
    }
    join(stream_index, stream);
  }

 private:
  /// Slices in flight: the stream's own and its branches.
  std::int64_t lanes() const { return std::min<std::int64_t>(slices_, CudnnHandles::kBranches + 1); }
  cudnnHandle_t handle_of(std::int64_t lane, int index, cudaStream_t stream) const {
    return lane == 0 ? handles_->on(index, stream) : handles_->branch(index, static_cast<int>(lane) - 1).handle;
  }
  void fork(int index, cudaStream_t stream) const {
    for (int b = 0; b < lanes() - 1; ++b) {
      const Branch& branch = handles_->branch(index, b);
      QNUDGE_CUDA_CHECK(cudaEventRecord(branch.begun.get(), stream));
      QNUDGE_CUDA_CHECK(cudaStreamWaitEvent(branch.stream.get(), branch.begun.get(), 0));
    }
  }
  void join(int index, cudaStream_t stream) const {
    for (int b = 0; b < lanes() - 1; ++b) {
      const Branch& branch = handles_->branch(index, b);
      QNUDGE_CUDA_CHECK(cudaEventRecord(branch.ended.get(), branch.stream.get()));
      QNUDGE_CUDA_CHECK(cudaStreamWaitEvent(stream, branch.ended.get(), 0));
    }
  }

  std::size_t x_bytes() const { return aligned_count(inputs_, 2); }
  std::size_t widened_bytes() const { return widens_ ? x_bytes() + aligned_count(weights_, 2) : 0; }
  /// x and w <- copies as half at the head of the workspace.
  void widen(ConvPointers& at, cudaStream_t stream) const {
    std::byte* const space = static_cast<std::byte*>(at.workspace);
    auto* const x = reinterpret_cast<Half*>(space);
    auto* const w = reinterpret_cast<Half*>(space + x_bytes());
    launch(HalfCodes{static_cast<const std::int8_t*>(at.x), x}, inputs_, stream);
    launch(HalfCodes{static_cast<const std::int8_t*>(at.w), w}, weights_, stream);
    at.x = x;
    at.w = w;
    at.workspace = space + widened_bytes();
  }

  const std::shared_ptr<const CudnnHandles> handles_;
  const std::shared_ptr<const ConvPlan> plan_;
  const FilterShape filter_;
  const bool widens_;  ///< codes are turned into halves first
  const std::int64_t inputs_, weights_, slices_;
  const std::int64_t operand_, residual_, output_;  ///< bytes of an element
  const std::string description_;
};

/// A transposed convolution between elements of type T: filters rearranged by phase, then one plan once per phase.
template <class T>
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
        output_(output_bytes(task)),
        description_(fmt::format("cuDNN, {}, {} phases", plan_->description(), phases_.count())) {}

  std::size_t workspace_bytes() const override { return filter_bytes() + plan_->workspace_bytes(); }
  bool vendor() const override { return true; }
  const std::string& description() const override { return description_; }

  void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const override {
    PhaseFilter<T> rearrange = rearrange_;
    rearrange.from = static_cast<const T*>(at.w);
    rearrange.to = static_cast<T*>(at.workspace);
    launch(rearrange, stream);
    const cudnnHandle_t handle = handles_->on(stream_index, stream);
    for (std::int64_t phase = 0; phase < phases_.count(); ++phase) {
      const std::int64_t offset = phase / phases_.w.phases * row_ + phase % phases_.w.phases * pixel_;
      ConvPointers part = at;
      part.w = rearrange.to + phase * rearrange.phase_size();
      part.y = static_cast<std::byte*>(at.y) + offset * output_;
      part.residual = advanced(at.residual, offset * static_cast<std::int64_t>(sizeof(T)));
      part.workspace = static_cast<std::byte*>(at.workspace) + filter_bytes();
      plan_->execute(handle, part);
    }
  }

 private:
  std::size_t filter_bytes() const { return aligned(static_cast<std::size_t>(rearrange_.size()) * sizeof(T)); }

  const std::shared_ptr<const CudnnHandles> handles_;
  const std::shared_ptr<const ConvPlan> plan_;
  const Phases phases_;
  const PhaseFilter<T> rearrange_;
  const std::int64_t pixel_, row_, output_;
  const std::string description_;
};

/// A convolution between codes, then an addition to what it has written.
class ConvThenAddition : public DeviceConv {
 public:
  ConvThenAddition(std::shared_ptr<const DeviceConv> conv, const ConvTask& task)
      : conv_(std::move(conv)), task_(task), description_(conv_->description() + ", then the addition") {}

  std::size_t workspace_bytes() const override { return conv_->workspace_bytes(); }
  bool vendor() const override { return conv_->vendor(); }
  const std::string& description() const override { return description_; }

  void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const override {
    ConvPointers bare = at;
    bare.residual = nullptr;
    conv_->enqueue(bare, stream_index, stream);
    launch(ForEach{addition_apart(task_, at), output_elements(task_)}, stream);
  }

 private:
  const std::shared_ptr<const DeviceConv> conv_;
  const ConvTask task_;
  const std::string description_;
};

}  // namespace

CudnnHandles::CudnnHandles(const Cudnn& api, int streams) : api_(api), handles_(static_cast<std::size_t>(streams)) {
  for (cudnnHandle_t& handle : handles_) check_cudnn(api_, api_.create(&handle), "a handle");
}

CudnnHandles::~CudnnHandles() {
  for (const Branch& branch : branches_) api_.destroy(branch.handle);
  for (cudnnHandle_t handle : handles_) api_.destroy(handle);
}

void CudnnHandles::add_branches() {
  while (branches_.size() < handles_.size() * kBranches) {
    Branch branch{nullptr, make_stream(), make_event(), make_event()};
    check_cudnn(api_, api_.create(&branch.handle), "a handle");
    branches_.push_back(std::move(branch));
    check_cudnn(api_, api_.set_stream(branches_.back().handle, branches_.back().stream.get()), "a stream");
  }
}

cudaStream_t CudnnHandles::trial_stream() {
  if (!trial_stream_) trial_stream_ = make_stream();
  return trial_stream_.get();
}

cudnnHandle_t CudnnHandles::on(int index, cudaStream_t stream) const {
  cudnnHandle_t handle = handles_[static_cast<std::size_t>(index)];
  check_cudnn(api_, api_.set_stream(handle, stream), "a stream");
  return handle;
}

std::shared_ptr<const DeviceConv> make_cudnn_conv(const std::shared_ptr<CudnnHandles>& handles,
                                                  std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
                                                  const ConvForm& form) {
  if (form == ConvForm::phases && task.half) return std::make_shared<CudnnPhases<Half>>(handles, std::move(plan), task);
  if (form == ConvForm::phases) {
    return std::make_shared<CudnnPhases<std::int8_t>>(handles, std::move(plan), task);
  }
  if (form.split == ConvForm::Split::candidates) handles->add_branches();
  return std::make_shared<CudnnConv>(handles, std::move(plan), task, form);
}

std::shared_ptr<const DeviceConv> with_addition_apart(std::shared_ptr<const DeviceConv> conv, const ConvTask& task) {
  require(!task.half, ErrorKind::internal, "{}: an addition of halves is not taken apart", task_text(task));
  return std::make_shared<ConvThenAddition>(std::move(conv), task);
}

}  // namespace qnudge::cuda
