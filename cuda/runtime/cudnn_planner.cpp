// SPDX-License-Identifier: MIT
#include "cudnn_planner.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "conv_tuner.hpp"
#include "cuda/cudnn/plan_ladder.hpp"
#include "cuda/cudnn/plan_workers.hpp"
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

/// Sets what the current device of the calling thread is in the threads that call what this returns.
std::function<void()> same_device() {
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) cudaGetLastError();
  return [device] {
    if (cudaSetDevice(device) != cudaSuccess) cudaGetLastError();  // what needs the device says so
  };
}

class CudnnPlanner : public ConvPlanner {
 public:
  CudnnPlanner(const Cudnn& api, const PlannerDevice& device, const CudaOptions& options)
      : api_(api),
        device_(device),
        handles_(std::make_shared<CudnnHandles>(api_, options.streams)),
        target_(handles_->first()),
        workers_([&api] { return std::make_unique<PlanTarget>(api); }, same_device()),
        store_(shared_plan_store(device.plans,
                                 fmt::format("cuDNN {}, {}", version_text(api_.version()), device.identity))),
        ladder_(api_, device.architecture, *store_, EngineHints::built_in()),
        autotune_(options.autotune) {}
  CudnnPlanner(const CudnnPlanner&) = delete;
  CudnnPlanner& operator=(const CudnnPlanner&) = delete;
  ~CudnnPlanner() override { store_->save(); }

  std::string description() const override { return "cuDNN " + version_text(api_.version()); }

  std::shared_ptr<const DeviceConv> prepare(const ConvTask& task, int code_bits) override {
    const ConvRequest request{task, code_bits};
    if (auto made = at_hand(request)) return made;
    return settle(request, tunable(task) ? tune(task, code_bits) : ladder_.find(target_, task, code_bits));
  }

  void prepare_all(std::span<const ConvRequest> requests) override {
    std::vector<ConvRequest> open;
    std::set<Key> seen;
    for (const ConvRequest& request : requests) {
      // Tuning goes task by task: it compiles side by side, but times alone.
      if (tunable(request.task) || at_hand(request)) continue;
      if (seen.insert(key_of(request)).second) open.push_back(request);
    }
    std::vector<std::optional<FoundPlan>> found(open.size());
    std::exception_ptr failure;
    try {
      workers_.for_each(open.size(), [&](std::size_t i, const PlanTarget& target) {
        found[i] = ladder_.find(target, open[i].task, open[i].code_bits);
      });
    } catch (...) {
      failure = std::current_exception();  // of one task; what the others have come to is kept first
    }
    for (std::size_t i = 0; i < open.size(); ++i) {
      try {
        if (found[i]) settle(open[i], *found[i]);
      } catch (...) {
        if (!failure) failure = std::current_exception();
      }
    }
    if (failure) std::rethrow_exception(failure);
  }

 private:
  using Key = std::pair<std::string, bool>;  // what is exact in half precision for few bits need not be so for more
  static Key key_of(const ConvRequest& request) {
    return {task_text(request.task), half_is_exact(request.task, request.code_bits)};
  }
  /// What has been made before, or needs no plan: a kernel of our own for the tasks that it is made for.
  std::shared_ptr<const DeviceConv> at_hand(const ConvRequest& request) {
    auto& made = made_[key_of(request)];
    if (made) return made;
    made = make_depthwise_conv(request.task);
    if (made) spdlog::debug("{}: {}", task_text(request.task), made->description());
    return made;
  }
  /// Engines round sums of halves differently, and tuning must not change a result.
  bool tunable(const ConvTask& task) const { return autotune_ && !task.half; }

  /// Makes what has been found a convolution, by the plain kernel if that is nothing; remembers it, stores its plan and
  /// says what is worth knowing.
  std::shared_ptr<const DeviceConv> settle(const ConvRequest& request, const FoundPlan& found) {
    const ConvTask& task = request.task;
    note(task, found);
    if (!found.plan) device_.check();  // an engine that cannot be had because the device is gone is no reason to go on
    auto made = found.plan ? conv(task, found) : make_plain_planner(found.refusals)->prepare(task, request.code_bits);
    if (found.plan) keep(found);
    const bool slow = !made->vendor() && products_of(task) >= kManyProducts;
    spdlog::log(slow ? spdlog::level::warn : spdlog::level::debug, "{}: {}", task_text(task), made->description());
    return made_[key_of(request)] = std::move(made);
  }

  /// The fastest of cuDNN's exact engines, from the store or by timing them; what they would be untuned where none can
  /// be timed.
  FoundPlan tune(const ConvTask& task, int code_bits) {
    FoundPlan all;
    for (const ConvForm& form : forms_of(task, code_bits)) {
      FoundPlan found = ladder_.tuned(target_, task, form);
      const bool raced = found.plan || race(task, form, found);
      all.append(std::move(found));
      if (!raced) all.append(ladder_.find(target_, task, form));
      if (all.plan) break;
    }
    return all;
  }

  /// Enters the fastest rival into `found`; false if there is no race.
  bool race(const ConvTask& task, const ConvForm& form, FoundPlan& found) {
    const std::vector<EngineHint> entered = ladder_.rivals(target_, task, form, most_rivals());
    std::vector<PlanOutcome> outcomes(entered.size());
    workers_.for_each(entered.size(), [&](std::size_t i, const PlanTarget& target) {
      outcomes[i] = ladder_.make(target, task, form, entered[i]);
    });
    std::vector<FoundPlan> plans;
    std::vector<std::shared_ptr<const DeviceConv>> rivals;
    for (std::size_t i = 0; i < entered.size(); ++i) {
      if (!outcomes[i].plan) continue;
      plans.push_back({.plan = outcomes[i].plan, .form = form, .addition_apart = entered[i].addition_apart});
      rivals.push_back(conv(task, plans.back()));
    }
    const auto fastest = time_rivals(task, rivals);
    if (!fastest) return false;
    found.plan = plans[*fastest].plan;
    found.addition_apart = plans[*fastest].addition_apart;
    return true;
  }

  /// Nothing where there are too few, or no room to try them; what is wrong is named once.
  std::optional<std::size_t> time_rivals(const ConvTask& task,
                                         const std::vector<std::shared_ptr<const DeviceConv>>& rivals) {
    std::optional<std::size_t> fastest;
    std::string reason;
    try {
      fastest = fastest_conv(task, rivals, handles_->trial_stream());
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::device) throw;
      reason = e.what();
    }
    device_.check();
    if (!reason.empty() && said_.insert(reason).second) spdlog::warn("{}: not tuned: {}", task_text(task), reason);
    return fastest;
  }

  std::shared_ptr<const DeviceConv> conv(const ConvTask& task, const FoundPlan& found) const {
    if (!found.addition_apart) return make_cudnn_conv(handles_, found.plan, task, found.form);
    return with_addition_apart(make_cudnn_conv(handles_, found.plan, without_addition(task), found.form), task);
  }

  void keep(const FoundPlan& found) {
    if (found.key.empty()) return;
    if (const StoredPlan plan = found.stored(); !plan.json.empty()) store_->add(found.key, plan);
  }

  /// What has not served is dropped, and named once.
  void note(const ConvTask& task, const FoundPlan& found) {
    for (const std::string& key : found.stale) {
      store_->drop(key);
      if (!std::exchange(said_stale_, true)) {
        spdlog::info("{}: plans that cuDNN does not take any more are made anew, the first for {}",
                     store_->path().string(), task_text(task));
      }
    }
    for (const std::string& reason : found.passed_over) {
      if (said_.insert(reason).second) spdlog::info("{}: a hint is passed over: {}", task_text(task), reason);
    }
  }

  const Cudnn& api_;
  const PlannerDevice device_;
  const std::shared_ptr<CudnnHandles> handles_;
  const PlanTarget target_;
  PlanWorkers workers_;
  const std::shared_ptr<PlanStore> store_;
  const PlanLadder ladder_;
  const bool autotune_;
  std::map<Key, std::shared_ptr<const DeviceConv>> made_;
  bool said_stale_ = false;
  std::set<std::string> said_;
};

}  // namespace

std::unique_ptr<ConvPlanner> make_cudnn_planner(const Cudnn& api, const PlannerDevice& device,
                                                const CudaOptions& options) {
  return std::make_unique<CudnnPlanner>(api, device, options);
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
