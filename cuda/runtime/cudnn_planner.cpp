// SPDX-License-Identifier: MIT
#include "cudnn_planner.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <vector>

#include "conv_tuner.hpp"
#include "cuda/cudnn/plan_store.hpp"
#include "cudnn_convs.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

std::string version_text(std::size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

/// Multiplications that take the plain kernel a noticeable part of a second, in every generation.
constexpr std::int64_t kManyProducts = std::int64_t{1} << 32;

std::int64_t products_of(const ConvTask& task) {
  return task.images * task.candidates * task.out.size() * task.filter.taps();
}

/// Engines to be timed for one convolution: each takes about a second to compile.
std::size_t most_rivals() {
  const char* text = std::getenv("QNUDGE_AUTOTUNE_CHOICES");
  return text == nullptr ? 24 : static_cast<std::size_t>(std::max(1, std::atoi(text)));
}

class CudnnPlanner : public ConvPlanner {
 public:
  CudnnPlanner(const Cudnn& api, const std::string& device, const std::filesystem::path& plans,
               const CudaOptions& options)
      : api_(api),
        handles_(std::make_shared<CudnnHandles>(api_, options.streams)),
        target_(handles_->first()),
        store_(plans, fmt::format("cuDNN {}, {}", version_text(api_.version()), device)),
        autotune_(options.autotune) {
    if (!store_.note().empty()) spdlog::info("{}", store_.note());
  }

  std::string description() const override { return "cuDNN " + version_text(api_.version()); }

  std::shared_ptr<const DeviceConv> prepare(const ConvTask& task, int code_bits) override {
    // What is exact in half precision for few bits need not be so for more.
    const std::string text = task_text(task);
    auto& made = made_[{text, half_is_exact(task, code_bits)}];
    if (made) return made;
    made = make_depthwise_conv(task);
    std::string refusals;
    for (const ConvForm& form : forms_of(task, code_bits)) {
      if (made) break;
      made = by_cudnn(task, form, refusals);
    }
    if (!made) made = make_plain_planner(refusals)->prepare(task, code_bits);
    const bool slow = !made->vendor() && products_of(task) >= kManyProducts;
    spdlog::log(slow ? spdlog::level::warn : spdlog::level::debug, "{}: {}", text, made->description());
    return made;
  }

 private:
  std::shared_ptr<const DeviceConv> by_cudnn(const ConvTask& task, const ConvForm& form, std::string& refusals) {
    if (autotune_ && !task.half) {  // engines round sums of halves differently, and tuning must not change a result
      if (auto tuned = by_tuning(task, form)) return tuned;
    }
    const std::string key = fmt::format("{} {}", task_text(task), form_text(form));
    if (auto stored = from_store(task, form, key)) return conv(std::move(stored), task, form);
    PlanOutcome outcome = plan_conv(api_, target_, task, form);
    if (outcome.plan) {
      keep(key, *outcome.plan);
      return conv(std::move(outcome.plan), task, form);
    }
    refusals += (refusals.empty() ? "" : "; ") + outcome.reason;
    return nullptr;
  }

  /// The fastest of cuDNN's exact engines, from the store or by timing them; nullptr if none can be timed.
  std::shared_ptr<const DeviceConv> by_tuning(const ConvTask& task, const ConvForm& form) {
    const std::string key = fmt::format("{} {} tuned", task_text(task), form_text(form));
    if (auto stored = from_store(task, form, key)) return conv(std::move(stored), task, form);
    std::vector<std::shared_ptr<const ConvPlan>> plans;
    std::vector<std::shared_ptr<const DeviceConv>> rivals;
    for (const EngineChoice& choice : engine_choices(api_, target_, task, form)) {
      if (plans.size() >= most_rivals()) break;
      auto plan = plan_choice(api_, target_, task, form, choice).plan;
      if (!plan) continue;
      rivals.push_back(conv(plan, task, form));
      plans.push_back(std::move(plan));
    }
    const auto fastest = fastest_conv(task, rivals, handles_->trial_stream());
    if (!fastest) return nullptr;
    keep(key, *plans[*fastest]);
    return rivals[*fastest];
  }

  std::shared_ptr<const ConvPlan> from_store(const ConvTask& task, const ConvForm& form, const std::string& key) {
    const auto stored = store_.find(key);
    if (!stored) return nullptr;
    auto plan = plan_from_json(api_, target_, task, form, *stored, "stored plan");
    if (!plan) store_.drop(key);
    return plan;
  }
  void keep(const std::string& key, const ConvPlan& plan) {
    if (const std::string json = plan.json(); !json.empty()) store_.add(key, json);
  }
  std::shared_ptr<const DeviceConv> conv(std::shared_ptr<const ConvPlan> plan, const ConvTask& task,
                                         const ConvForm& form) const {
    return make_cudnn_conv(handles_, std::move(plan), task, form);
  }

  const Cudnn& api_;
  const std::shared_ptr<CudnnHandles> handles_;
  const PlanTarget target_;
  PlanStore store_;
  const bool autotune_;
  std::map<std::pair<std::string, bool>, std::shared_ptr<const DeviceConv>> made_;  // by task and half_is_exact
};

}  // namespace

std::unique_ptr<ConvPlanner> make_cudnn_planner(const Cudnn& api, const std::string& device,
                                                const std::filesystem::path& plans, const CudaOptions& options) {
  return std::make_unique<CudnnPlanner>(api, device, plans, options);
}

void find_cudnn(CudaStatus& status) {
  int cuda_major = status.runtime / 1000;
  try {
    status.cudnn = version_text(cudnn().version());
    status.has_cudnn = true;
    cuda_major = cudnn().cuda_major();
  } catch (const Error& e) {
    status.cudnn = e.what();
  }
  status.nvrtc = nvrtc_description(cuda_major, status.has_nvrtc);
}

}  // namespace qnudge::cuda
