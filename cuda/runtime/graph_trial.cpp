// SPDX-License-Identifier: MIT
// Whether a driver takes the graphs that searches need, asked with as little as possible: one convolution per engine.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <set>

#include "check.hpp"
#include "conv_operands.hpp"
#include "cudnn_convs.hpp"
#include "generation_graph.hpp"
#include "plan_batch.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/devices.hpp"

namespace qnudge {
namespace cuda {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kReplays = 3, kGenerations = 3, kRounds = 2;

ConvTask task_of(ConvRole role, std::int64_t channels, std::int64_t filters, std::int64_t groups) {
  const Window same{.r = 3, .s = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  ConvTask task{role, 8, 4, {16, 16, channels}, {16, 16, filters}, {filters, 3, 3, channels / groups}, {}, {}};
  task.geometry.window = same;
  task.geometry.groups = groups;
  return task;
}

/// What brings every engine, form and fused step into play, and of the depthwise kernel both numbers of channels.
std::vector<ConvTask> trial_tasks() {
  ConvTask adding = task_of(ConvRole::shared, 64, 64, 1), logits = task_of(ConvRole::shared, 64, 100, 1);
  adding.epilogue.low = -128;
  adding.epilogue.addition = FusedAddition{0.5f, 1.0f, 0, 127};
  logits.epilogue.float_output = true;
  return {task_of(ConvRole::shared, 64, 64, 1),
          adding,
          task_of(ConvRole::wide, 64, 64, 1),
          task_of(ConvRole::wide, 3, 64, 1),
          logits,
          task_of(ConvRole::shared, 64, 64, 4),
          task_of(ConvRole::shared, 64, 64, 64),
          task_of(ConvRole::wide, 64, 64, 64),
          task_of(ConvRole::shared, 36, 36, 36)};
}

class Trials {
 public:
  explicit Trials(const std::function<void(const GraphTrial&)>& seen)
      : device_(open_cuda_device({.streams = 1})),
        handles_(std::make_shared<CudnnHandles>(cudnn(), 1)),
        runner_(1),
        seen_(seen) {}

  std::vector<GraphTrial> run() {
    const std::vector<PlanRequest> requests = requested();
    PlanWorkers workers = device_plan_workers();
    const std::vector<PlanOutcome> outcomes = compile_plans(workers, requests, Clock::time_point::max());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto& [task, form, choice] = requests[i];
      if (const auto& plan = outcomes[i].plan) {
        add(task, make_cudnn_conv(handles_, plan, task, form), choice_text(choice));
      } else {
        spdlog::info("{}, {}: {}", task_text(task), form_text(form), outcomes[i].reason);
      }
    }
    for (const ConvTask& task : trial_tasks()) {
      if (const auto own = make_depthwise_conv(task)) add(task, own, {});
    }
    const ConvTask first = trial_tasks().front();
    add(first, make_plain_planner("asked for")->prepare(first, 8), {});
    return std::move(trials_);
  }

 private:
  /// The first choice of every engine, for every form and task that cuDNN is asked for.
  std::vector<PlanRequest> requested() const {
    const PlanTarget target(handles_->first());
    std::vector<PlanRequest> requests;
    for (const ConvTask& task : trial_tasks()) {
      if (make_depthwise_conv(task)) continue;
      for (const ConvForm& form : forms_of(task, 4)) {
        std::set<std::int64_t> engines;
        for (const EngineChoice& choice : engine_choices(cudnn(), target, task, form)) {
          if (engines.insert(choice.engine).second) requests.push_back({task, form, choice});
        }
      }
    }
    return requests;
  }

  void add(const ConvTask& task, const std::shared_ptr<const DeviceConv>& conv, const std::string& engine) {
    GraphTrial trial{.task = task_text(task), .conv = conv->description(), .engine = engine};
    const auto begun = Clock::now();
    try {
      replay(task, conv, trial);
    } catch (const Error& e) {
      trial.problem = e.what();
    }
    trial.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    spdlog::info("{}, {}: {}", trial.task, trial.conv, trial.problem.empty() ? trial.census : trial.problem);
    seen_(trial);
    trials_.push_back(std::move(trial));
  }

  /// Once outside of any graph, as a search does, then from within loops.
  void replay(const ConvTask& task, const std::shared_ptr<const DeviceConv>& conv, GraphTrial& trial) {
    ConvOperands operands(task);
    const Memory workspace = device_->allocate(conv->workspace_bytes(), "a convolution's workspace");
    const DeviceArray<std::int32_t> round(*device_, 1, "a counter");
    const auto body = std::make_shared<Program>();
    body->add(0, RunConv{conv, operands.pointers(workspace.get())});
    runner_.enqueue(*body);
    check_stopped(cudaStreamSynchronize(runner_.main_stream()));
    expect_equal(operands, "outside of a graph");
    Program program;
    program.add(0, Loop{body, round.data(), kRounds});
    GenerationGraph graph(runner_, program, kGenerations);
    trial.census = graph.census().text();
    for (int i = 1; i <= kReplays; ++i) {
      operands.spoil();
      const std::int32_t done = graph.run(never_);
      require(done == kGenerations, ErrorKind::device, "replay {} went round {} times instead of {}", i, done,
              kGenerations);
      expect_equal(operands, fmt::format("in replay {}", i));
    }
  }

  static void expect_equal(ConvOperands& operands, const std::string& where) {
    const std::int64_t differing = operands.differing();
    require(differing == 0, ErrorKind::device, "{} bytes differ from the plain kernel's {}", differing, where);
  }

  const std::shared_ptr<Device> device_;
  const std::shared_ptr<CudnnHandles> handles_;
  ProgramRunner runner_;
  const StopFlag never_{false};
  const std::function<void(const GraphTrial&)>& seen_;
  std::vector<GraphTrial> trials_;
};

}  // namespace
}  // namespace cuda

std::vector<GraphTrial> try_graphs(const std::function<void(const GraphTrial&)>& seen) {
  return cuda::Trials(seen).run();
}

}  // namespace qnudge
