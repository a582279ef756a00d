// SPDX-License-Identifier: MIT
#include "cudnn_planner.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <map>
#include <vector>

#include "cuda/cudnn/conv_plan.hpp"
#include "cuda/cudnn/plan_store.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/phases.hpp"

namespace qnudge::cuda {
namespace {

std::string version_text(std::size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

/// One handle per stream: handles must not be shared by what runs at the same time.
class Handles {
 public:
  Handles(const Cudnn& api, int streams) : api_(api), handles_(static_cast<std::size_t>(streams)) {
    for (cudnnHandle_t& handle : handles_) check_cudnn(api_, api_.create(&handle), "a handle");
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() {
    for (cudnnHandle_t handle : handles_) api_.destroy(handle);
  }
  cudnnHandle_t first() const { return handles_.front(); }
  cudnnHandle_t on(int index, cudaStream_t stream) const {
    cudnnHandle_t handle = handles_[static_cast<std::size_t>(index)];
    check_cudnn(api_, api_.set_stream(handle, stream), "a stream");
    return handle;
  }

 private:
  const Cudnn& api_;
  std::vector<cudnnHandle_t> handles_;
};

/// All candidates in one plan, or one candidate after the other into slices of the output.
class CudnnConv : public DeviceConv {
 public:
  CudnnConv(std::shared_ptr<const Handles> handles, std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
            ConvForm form)
      : handles_(std::move(handles)),
        plan_(std::move(plan)),
        filter_(task.filter),
        slices_(form == ConvForm::sliced ? task.candidates : 1),
        element_(task.epilogue.float_output ? 4 : 1),
        description_(fmt::format("cuDNN, {}{}", plan_->description(),
                                 form == ConvForm::sliced ? ", one candidate at a time" : "")) {}

  std::size_t workspace_bytes() const override { return plan_->workspace_bytes(); }
  bool vendor() const override { return true; }
  const std::string& description() const override { return description_; }

  void enqueue(const ConvPointers& at, int stream_index, cudaStream_t stream) const override {
    const cudnnHandle_t handle = handles_->on(stream_index, stream);
    for (std::int64_t p = 0; p < slices_; ++p) {
      ConvPointers slice = at;
      slice.w += p * filter_.size();
      slice.bias += p * filter_.k;
      slice.multiplier += p * filter_.k;
      slice.y = static_cast<std::byte*>(at.y) + p * filter_.k * element_;
      if (at.residual != nullptr) slice.residual += p * filter_.k;
      plan_->execute(handle, slice);
    }
  }

 private:
  const std::shared_ptr<const Handles> handles_;
  const std::shared_ptr<const ConvPlan> plan_;
  const FilterShape filter_;
  const std::int64_t slices_, element_;
  const std::string description_;
};

/// A transposed convolution: filters rearranged by phase, then one plan once per phase.
class CudnnPhases : public DeviceConv {
 public:
  CudnnPhases(std::shared_ptr<const Handles> handles, std::shared_ptr<const ConvPlan> plan, const ConvTask& task)
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

  const std::shared_ptr<const Handles> handles_;
  const std::shared_ptr<const ConvPlan> plan_;
  const Phases phases_;
  const PhaseFilter rearrange_;
  const std::int64_t pixel_, row_, element_;
  const std::string description_;
};

const char* name_of(ConvForm form) {
  return form == ConvForm::whole ? "whole" : form == ConvForm::sliced ? "sliced" : "phases";
}

class CudnnPlanner : public ConvPlanner {
 public:
  CudnnPlanner(const std::string& device, int streams)
      : api_(cudnn()),
        handles_(std::make_shared<Handles>(api_, streams)),
        target_(handles_->first()),
        store_(plan_store_folder(), fmt::format("cuDNN {}, {}", version_text(api_.version()), device)) {
    if (!store_.note().empty()) spdlog::info("{}", store_.note());
  }

  std::string description() const override { return "cuDNN " + version_text(api_.version()); }

  std::shared_ptr<const DeviceConv> prepare(const ConvTask& task, int) override {
    const std::string key = task_text(task);
    auto& made = made_[key];
    if (made) return made;
    std::string refusals;
    for (const ConvForm form : forms_of(task)) {
      made = by_cudnn(task, form, refusals);
      if (made) break;
    }
    if (!made) made = make_plain_planner(refusals)->prepare(task, 0);
    spdlog::debug("{}: {}", key, made->description());
    return made;
  }

 private:
  std::shared_ptr<const DeviceConv> by_cudnn(const ConvTask& task, ConvForm form, std::string& refusals) {
    const std::string key = fmt::format("{} {}", task_text(task), name_of(form));
    if (const auto stored = store_.find(key)) {
      if (auto plan = plan_from_json(api_, target_, task, form, *stored)) return conv(std::move(plan), task, form);
      store_.drop(key);
    }
    PlanOutcome outcome = plan_conv(api_, target_, task, form);
    if (outcome.plan) {
      if (const std::string json = outcome.plan->json(); !json.empty()) store_.add(key, json);
      return conv(std::move(outcome.plan), task, form);
    }
    refusals += (refusals.empty() ? "" : "; ") + outcome.reason;
    return nullptr;
  }
  std::shared_ptr<const DeviceConv> conv(std::shared_ptr<const ConvPlan> plan, const ConvTask& task, ConvForm form) {
    if (form == ConvForm::phases) return std::make_shared<CudnnPhases>(handles_, std::move(plan), task);
    return std::make_shared<CudnnConv>(handles_, std::move(plan), task, form);
  }

  const Cudnn& api_;
  const std::shared_ptr<const Handles> handles_;
  const PlanTarget target_;
  PlanStore store_;
  std::map<std::string, std::shared_ptr<const DeviceConv>> made_;  // by task_text
};

}  // namespace

std::unique_ptr<ConvPlanner> make_cudnn_planner(const std::string& device, int streams) {
  return std::make_unique<CudnnPlanner>(device, streams);
}

std::string cudnn_description(bool& usable) {
  try {
    usable = true;
    return version_text(cudnn().version());
  } catch (const Error& e) {
    usable = false;
    return e.what();
  }
}

}  // namespace qnudge::cuda
