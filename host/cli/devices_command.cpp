// SPDX-License-Identifier: MIT
#include <dnnl.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "gpu.hpp"
#include "qnudge/cli/backends.hpp"
#include "qnudge/cli/command.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/cpu/host_backend.hpp"

namespace qnudge {
namespace {

using Json = nlohmann::ordered_json;

std::string onednn_version() {
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
}

int run_devices(bool try_graphs, Terminal& terminal, const OutputOptions& output) {
  const std::vector<std::string> faults = conv_self_test();
  const unsigned cores = std::thread::hardware_concurrency();
  Json json = {{"processor", processor_name()},
               {"cores", cores},
               {"onednn", {{"version", onednn_version()}, {"isa", onednn_isa()}}},
               {"self_test", {{"exact", faults.empty()}, {"faults", faults}}}};
  std::string text = fmt::format("processor  {}, {} core{}\noneDNN     {}, instruction set {}\n", processor_name(),
                                 cores, cores == 1 ? "" : "s", onednn_version(), onednn_isa());
  text += faults.empty() ? "self-test  every convolution kernel equals plain integer arithmetic\n" : "";
  for (const std::string& fault : faults) text += fmt::format("self-test  {}\n", fault);
  text += gpu_text() + "backends\n";
  json["cuda"] = gpu_json();
  json["backends"] = Json::object();
  for (const BackendEntry& entry : backend_table()) {
    const std::string problem = entry.problem();
    json["backends"][entry.name] = {{"summary", entry.summary}, {"usable", problem.empty()}, {"problem", problem}};
    text +=
        fmt::format("  {:<9}  {}{}\n", entry.name, entry.summary, problem.empty() ? "" : "; not usable: " + problem);
  }
  bool passed = true;
  if (try_graphs) {
    GraphTrials trials = try_gpu_graphs();
    json["graphs"] = std::move(trials.json);
    text += trials.text;
    passed = trials.passed;
  }
  terminal.out() << (output.json ? json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n' : text);
  return passed ? 0 : static_cast<int>(ErrorKind::device);
}

}  // namespace

Action add_devices(CLI::App& app) {
  const auto try_graphs = std::make_shared<bool>(false);
  app.add_flag("--try", *try_graphs,
               "Run one convolution per engine inside the graphs that searches need; fails if a driver refuses one");
  return [try_graphs](Terminal& terminal, const OutputOptions& output) {
    return run_devices(*try_graphs, terminal, output);
  };
}

}  // namespace qnudge
