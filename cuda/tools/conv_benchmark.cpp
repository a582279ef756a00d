// SPDX-License-Identifier: MIT
// What a device makes of the convolutions of ResNet18: operations per second by layer, role and form, chunk sizes, and
// the ceiling of memory. One JSON on stdout.
//
//   qnudge_conv_benchmark [SECONDS]     stops adding rows after SECONDS (default 150)
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "model_shapes.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/devices.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

using Clock = std::chrono::steady_clock;
using nlohmann::ordered_json;

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

/// Median of five measurements of one program, each of as many runs as take about 20 ms.
double seconds_of(Device& device, const Program& program) {
  const auto measure = [&](int runs) {
    device.wait();
    const auto begun = Clock::now();
    for (int i = 0; i < runs; ++i) device.run(program);
    device.wait();
    return seconds_since(begun) / runs;
  };
  measure(2);
  const int runs = std::clamp(static_cast<int>(0.02 / measure(3)), 3, 1000);
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) times.push_back(measure(runs));
  std::sort(times.begin(), times.end());
  return times[2];
}

/// Random codes: zeros would flatter the power limit.
DeviceArray<std::int8_t> random_codes(Device& device, std::int64_t count, const char* what) {
  static std::mt19937_64 random(1);
  std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
  for (auto& c : codes) c = static_cast<std::int8_t>(random() % 256);
  return {device, std::span<const std::int8_t>(codes), what};
}

ordered_json time_conv(Device& device, const std::string& name, const ConvTask& task) {
  const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
  const std::int64_t copies = task.role == ConvRole::shared ? task.candidates : 1;
  const auto x = random_codes(device, task.images * copies * task.in.size(), "x");
  const auto w = random_codes(device, sets * task.filter.size(), "w");
  const auto residual = random_codes(device, task.epilogue.addition ? output_elements(task) : 1, "residual");
  const std::vector<float> ones(static_cast<std::size_t>(sets * task.filter.k), 0.001f);
  const DeviceArray<float> m(device, std::span<const float>(ones), "m");
  const DeviceArray<float> y(device, static_cast<std::size_t>(output_elements(task)), "y");
  const auto begun = Clock::now();
  const ConvHandle conv = device.prepare_conv(task, 8);
  const double planning = seconds_since(begun);
  const Memory workspace = device.allocate(conv->workspace_bytes(), "workspace");
  Program program;
  program.add(0, RunConv{conv, {x.data(), w.data(), m.data(), m.data(), residual.data(), y.data(), workspace.get()}});
  const double seconds = seconds_of(device, program);
  const double operations = 2.0 * static_cast<double>(output_elements(task)) * static_cast<double>(task.filter.taps());
  return {{"layer", name},
          {"task", task_text(task)},
          {"plan", conv->description()},
          {"planning_seconds", planning},
          {"microseconds", 1e6 * seconds},
          {"tera_operations_per_second", 1e-12 * operations / seconds}};
}

/// Bytes per second of a copy, read and written.
double copy_bandwidth(Device& device) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  const DeviceArray<std::uint8_t> from(device, kBytes, "a copy"), to(device, kBytes, "a copy");
  Program program;
  program.add(0, CopyBytes{to.data(), from.data(), kBytes});
  return 2.0 * static_cast<double>(kBytes) / seconds_of(device, program);
}

/// Layers that differ, each once.
std::vector<std::pair<std::string, LayerShape>> layers_of(const std::string& prefix) {
  std::vector<std::pair<std::string, LayerShape>> layers;
  std::set<std::string> seen;
  for (const ModelShapes& model : published_models()) {
    if (!model.name.starts_with(prefix)) continue;
    for (const LayerShape& layer : model.layers) {
      const std::string kind = task_text(tasks_of(layer, 1).front());
      if (seen.insert(kind).second) layers.emplace_back(model.name + ", " + layer.name, layer);
    }
  }
  return layers;
}

ordered_json run(double limit) {
  const auto begun = Clock::now();
  const auto device = open_cuda_device();
  ordered_json result = {{"device", device->description()},
                         {"copy_bytes_per_second", copy_bandwidth(*device)},
                         {"convolutions", ordered_json::array()},
                         {"chunks", ordered_json::array()},
                         {"left_out", 0}};
  const auto add = [&](const char* list, const std::string& name, const ConvTask& task) {
    if (seconds_since(begun) > limit) {
      result["left_out"] = result["left_out"].get<int>() + 1;
      return;
    }
    result[list].push_back(time_conv(*device, name, task));
  };
  for (const auto& [name, layer] : layers_of("ResNet18, 32x32")) {
    for (const std::int64_t candidates : {32, 1}) {
      for (const ConvTask& task : tasks_of(layer, candidates)) {
        if (task.role == ConvRole::single || candidates == 32) add("convolutions", name, task);
      }
    }
  }
  // How large a chunk must be: one layer of the second stage, searched and behind the search.
  const LayerShape middle = layers_of("ResNet18, 32x32").at(3).second;
  for (const std::int64_t rows : {256, 512, 1024, 2048, 4096}) {
    for (ConvTask task : tasks_of(middle, 32)) {
      task.images = rows / 32;
      add("chunks", fmt::format("{} rows", rows), task);
    }
  }
  for (const auto& [name, layer] : layers_of("ResNet18, 224x224")) {
    for (const ConvTask& task : tasks_of(layer, 32)) add("convolutions", name, task);
  }
  return result;
}

}  // namespace
}  // namespace qnudge::cuda

int main(int argc, char** argv) {
  try {
    std::cout << qnudge::cuda::run(argc > 1 ? std::stod(argv[1]) : 150.0).dump(1) << '\n';
    return 0;
  } catch (const qnudge::Error& e) {
    std::cerr << "qnudge_conv_benchmark: " << e.what() << '\n';
    return static_cast<int>(e.kind());
  }
}
