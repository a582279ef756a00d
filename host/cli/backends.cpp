// SPDX-License-Identifier: MIT
#include "qnudge/cli/backends.hpp"

#include <fmt/ranges.h>

#include <array>

#include "qnudge/core/error.hpp"
#include "qnudge/cpu/host_backend.hpp"

namespace qnudge {
namespace {

constexpr std::array<BackendEntry, 3> kBackends = {{
    {"cuda", "NVIDIA GPU", nullptr},
    {"host", "this processor, oneDNN", [](int threads) { return make_host_backend({.threads = threads}); }},
    {"reference", "plain integer loops, one thread: slow, the oracle of the others",
     [](int) { return make_reference_backend(); }},
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
    if (name != "auto" && name != entry.name) continue;
    if (entry.make != nullptr) return entry.make(threads);
    require(name == "auto", ErrorKind::device,
            "backend '{}': this build of qnudge has no CUDA backend yet; use --backend host", name);
  }
  fail(ErrorKind::usage, "backend '{}': unknown; known are {}", name, fmt::join(backend_names(), ", "));
}

}  // namespace qnudge
