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
    {"cuda", kGpuSummary, [](int) { return make_gpu_backend(); }, gpu_problem},
    {"host", "this processor, oneDNN", [](int threads) { return make_host_backend({.threads = threads}); },
     [] { return std::string(); }},
    {"reference", "plain integer loops, one thread: slow, the oracle of the others",
     [](int) { return make_reference_backend(); }, [] { return std::string(); }},
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

std::unique_ptr<Backend> make_backend(const std::string& name, int threads) {
  for (const BackendEntry& entry : kBackends) {
    if (name == entry.name) return entry.make(threads);
    if (name != "auto") continue;
    const std::string problem = entry.problem();
    if (problem.empty()) return entry.make(threads);
    if (gpu_built()) spdlog::info("backend '{}' is passed by: {}", entry.name, problem);
  }
  fail(ErrorKind::usage, "backend '{}': unknown; known are {}", name, fmt::join(backend_names(), ", "));
}

}  // namespace qnudge
