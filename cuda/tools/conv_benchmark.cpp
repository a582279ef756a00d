// SPDX-License-Identifier: MIT
// What a device makes of the convolutions of ResNet18, engine by engine and configuration by configuration: time, bytes
// compared with the plain kernel's, and what was expected. One JSON object a line, written as soon as it is measured.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <future>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "cuda/runtime/conv_operands.hpp"
#include "cuda/runtime/cudnn_convs.hpp"
#include "cuda/runtime/plan_batch.hpp"
#include "prediction.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/devices.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

/// Median of five measurements of one program, each of as many runs as take about 10 ms.
double seconds_of(Device& device, const Program& program) {
  const auto measure = [&](int runs) {
    device.wait();
    const auto begun = Clock::now();
    for (int i = 0; i < runs; ++i) device.run(program);
    device.wait();
    return seconds_since(begun) / runs;
  };
  measure(2);
  const int runs = std::clamp(static_cast<int>(0.01 / measure(3)), 3, 1000);
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(measure(runs));
  std::sort(times.begin(), times.end());
  return times[2];
}

void write(const Json& row) {
  std::cout << row.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;  // flushed
}

/// All configurations of the engine that is named first, and of every other engine the one that is named first.
std::vector<EngineChoice> worth_measuring(const std::vector<EngineChoice>& choices) {
  constexpr std::size_t kMost = 24;
  std::vector<EngineChoice> chosen;
  std::set<std::int64_t> engines;
  for (const EngineChoice& choice : choices) {
    const bool named = engines.insert(choice.engine).second;
    if (named || (choice.engine == choices.front().engine && chosen.size() < kMost)) chosen.push_back(choice);
  }
  return chosen;
}

/// The value of knob 24, which is a kernel's configuration; the heuristics' own where it is not set.
std::int64_t configuration_of(const EngineChoice& choice) {
  constexpr int kKernelConfiguration = 24;
  for (const Knob& knob : choice.knobs) {
    if (knob.type == kKernelConfiguration) return knob.value;
  }
  return kDefaultConfiguration;
}

Json knobs_of(const EngineChoice& choice) {
  Json knobs = Json::object();
  for (const Knob& knob : choice.knobs) knobs[std::to_string(knob.type)] = knob.value;
  return knobs;
}

class ConvBenchmark {
 public:
  explicit ConvBenchmark(double limit)
      : until_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limit))),
        device_(open_cuda_device({.streams = 1})),
        card_(card_of(device_->description())),
        handles_(std::make_shared<CudnnHandles>(cudnn(), 1)),
        asked_(cudnn()),
        workers_(device_plan_workers()) {}

  void run() {
    write({{"what", "device"}, {"device", device_->description()}, {"copy_bytes_per_second", copy_bandwidth()}});
    const std::vector<NamedTask> tasks = all_tasks();
    // While one task's plans are timed, the next one's are compiled.
    auto next = std::async(std::launch::async, [&] { return planned(tasks.front().task); });
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      const Planned plans = next.get();
      if (Clock::now() >= until_) {
        write({{"what", "left out"}, {"tasks", tasks.size() - i}});
        return;
      }
      if (i + 1 < tasks.size()) next = std::async(std::launch::async, [&, i] { return planned(tasks[i + 1].task); });
      time_task(tasks[i], plans);
    }
  }

 private:
  struct Planned {
    std::vector<PlanRequest> requests;
    std::vector<PlanOutcome> outcomes;
    std::string problem;
    double seconds = 0;
  };

  /// At 32x32 engine by engine; how large a chunk must be; then 224x224.
  static std::vector<NamedTask> all_tasks() {
    constexpr std::int64_t kCandidates = 32, kRows = 2048;
    const std::vector<ModelShapes> models = published_models();
    const auto of = [&](const char* name, std::int64_t rows) {
      const auto model = std::find_if(models.begin(), models.end(), [&](const auto& m) { return m.name == name; });
      std::vector<NamedTask> tasks = distinct_tasks(*model, kCandidates, rows);
      for (NamedTask& task : tasks) task.layer = fmt::format("{}, {}", name, task.layer);
      return tasks;
    };
    std::vector<NamedTask> tasks = of("ResNet18, 32x32", kRows);
    for (const std::int64_t rows : {256, 512, 1024, 4096}) {
      for (NamedTask& task : of("ResNet18, 32x32", rows)) {
        const bool first_stage = task.task.filter.c == 64 && task.task.filter.k == 64;
        if (first_stage && task.task.role == ConvRole::shared) tasks.push_back(std::move(task));
      }
    }
    for (NamedTask& task : of("ResNet18, 224x224", kRows)) tasks.push_back(std::move(task));
    return tasks;
  }

  Planned planned(const ConvTask& task) {
    Planned plans;
    const auto begun = Clock::now();
    try {
      for (const EngineChoice& choice : worth_measuring(engine_choices(cudnn(), asked_, task, ConvForm::whole))) {
        plans.requests.push_back({task, ConvForm::whole, choice});
      }
      plans.outcomes = compile_plans(workers_, plans.requests, until_);
    } catch (const Error& e) {
      plans = {.requests = {}, .outcomes = {}, .problem = e.what()};
    }
    plans.seconds = seconds_since(begun);
    return plans;
  }

  void time_task(const NamedTask& named, const Planned& plans) {
    try {
      ConvOperands operands(named.task);
      for (std::size_t i = 0; i < plans.requests.size() && Clock::now() < until_; ++i) {
        write(time_plan(named, plans.requests[i].choice, plans.outcomes[i], operands));
      }
      if (named.task.epilogue.addition) write(time_addition(named));
    } catch (const Error& e) {
      write({{"what", "task"}, {"layer", named.layer}, {"task", task_text(named.task)}, {"problem", e.what()}});
    }
    write({{"what", "plans"},
           {"layer", named.layer},
           {"task", task_text(named.task)},
           {"plans", plans.requests.size()},
           {"problem", plans.problem},
           {"compile_seconds", plans.seconds}});
  }

  Json time_plan(const NamedTask& named, const EngineChoice& choice, const PlanOutcome& outcome,
                 ConvOperands& operands) const {
    const ConvTask& task = named.task;
    Json row = {{"what", "convolution"},         {"layer", named.layer},    {"task", task_text(task)},
                {"choice", choice_text(choice)}, {"engine", choice.engine}, {"knobs", knobs_of(choice)}};
    try {
      require(outcome.plan != nullptr, ErrorKind::device, "{}", outcome.reason);
      const auto conv = make_cudnn_conv(handles_, outcome.plan, task, ConvForm::whole);
      const Memory workspace = device_->allocate(conv->workspace_bytes(), "a convolution's workspace");
      Program program;
      program.add(0, RunConv{conv, operands.pointers(workspace.get())});
      operands.spoil();
      device_->run(program);
      row["differing_bytes"] = operands.differing();
      const double seconds = seconds_of(*device_, program);
      row["microseconds"] = 1e6 * seconds;
      if (card_) row["expected_microseconds"] = 1e6 * expected_seconds(task, configuration_of(choice), *card_);
      row["tera_operations_per_second"] = 1e-12 * operations_of(task) / seconds;
      row["gigabytes_per_second"] = 1e-9 * moved_bytes(task) / seconds;
      row["workspace_bytes"] = conv->workspace_bytes();
    } catch (const Error& e) {
      row["problem"] = e.what();
    }
    return row;
  }

  /// The addition that a convolution may have behind it, as a pass of its own: what fusing must beat.
  Json time_addition(const NamedTask& named) const {
    const std::int64_t count = output_elements(named.task);
    const DeviceArray<std::int8_t> a(*device_, static_cast<std::size_t>(count), "a"),
        b(*device_, static_cast<std::size_t>(count), "b");
    Program program;
    program.add(0, ForEach{AddCodes<std::int8_t>{a.data(), b.data(), a.data(), 0.5f, 1.0f, 0, 127}, count});
    const double seconds = seconds_of(*device_, program);
    return {{"what", "addition"},
            {"layer", named.layer},
            {"task", task_text(named.task)},
            {"microseconds", 1e6 * seconds},
            {"gigabytes_per_second", 3e-9 * static_cast<double>(count) / seconds}};
  }

  /// Bytes per second of a copy, read and written.
  double copy_bandwidth() const {
    constexpr std::size_t kBytes = std::size_t{1} << 30;
    const DeviceArray<std::uint8_t> from(*device_, kBytes, "a copy"), to(*device_, kBytes, "a copy");
    Program program;
    program.add(0, CopyBytes{to.data(), from.data(), kBytes});
    return 2.0 * static_cast<double>(kBytes) / seconds_of(*device_, program);
  }

  const Clock::time_point until_;
  const std::shared_ptr<Device> device_;
  const std::optional<Card> card_;
  const std::shared_ptr<CudnnHandles> handles_;
  const PlanTarget asked_;  ///< with a handle of its own: another thread asks while this one runs plans
  PlanWorkers workers_;
};

}  // namespace
}  // namespace qnudge::cuda

int main(int argc, char** argv) {
  CLI::App app("Times convolutions of ResNet18 on the GPU, one JSON object a line");
  double seconds = 150;
  bool predict = false;
  app.add_option("SECONDS", seconds, "Begins nothing after so many seconds")->capture_default_str();
  app.add_flag("--predict", predict, "Prints the tables of docs/performance.md; needs no GPU");
  CLI11_PARSE(app, argc, argv);
  try {
    if (predict) {
      std::cout << qnudge::cuda::prediction_tables();
    } else {
      qnudge::cuda::ConvBenchmark(seconds).run();
    }
    return 0;
  } catch (const qnudge::Error& e) {
    std::cerr << "qnudge_conv_benchmark: " << e.what() << '\n';
    return static_cast<int>(e.kind());
  }
}
