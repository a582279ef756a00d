// SPDX-License-Identifier: MIT
#include "qnudge/cli/backends.hpp"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <array>

#include "gpu.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cpu/host_backend.hpp"

namespace qnudge {
namespace {

constexpr std::array<BackendEntry, 3> kBackends = {{
    {"cuda", kGpuSummary, [](const BackendOptions& options) { return make_gpu_backend(options.device); }, gpu_problem},
    {"host", "this processor, oneDNN",
     [](const BackendOptions& options) { return make_host_backend({.threads = options.threads}); },
     [] { return std::string(); }},
    {"reference", "plain integer loops, one thread: slow, the oracle of the others",
     [](const BackendOptions&) { return make_reference_backend(); }, [] { return std::string(); }},
}};

}  // namespace

std::span<const BackendEntry> backend_table() {
  return kBackends;
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names = {"auto"};
  for (const BackendEntry& entry : kBackends) names.emplace_back(entry.name);
  return names;
}

std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options) {
  for (const BackendEntry& entry : kBackends) {
    if (name == entry.name) return entry.make(options);
    if (name != "auto") continue;
    const std::string problem = entry.problem();
    if (problem.empty()) return entry.make(options);
    if (gpu_built()) spdlog::info("backend '{}' is passed by: {}", entry.name, problem);
  }
  fail(ErrorKind::usage, "backend '{}': unknown; known are {}", name, fmt::join(backend_names(), ", "));
}

}  // namespace qnudge
