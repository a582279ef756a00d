// SPDX-License-Identifier: MIT
#include "qnudge/cpu/host_backend.hpp"

#include <omp.h>

#include <algorithm>
#include <fstream>

#include "host_session.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(line.find_first_not_of(" \t", colon + 1));
    }
  }
  return "unknown processor";
}

namespace {

class HostBackend : public Backend {
 public:
  explicit HostBackend(const HostOptions& options)
      : options_(options), threads_(options.threads > 0 ? options.threads : std::max(1, omp_get_num_procs())) {}

  std::string name() const override { return "host"; }

  std::string device() const override {
    return fmt::format("{}, {}, {} thread{}", processor_name(),
                       options_.vendor_kernels ? "oneDNN " + onednn_isa() : "own kernels", threads_,
                       threads_ == 1 ? "" : "s");
  }

  std::optional<std::string> reject(const IntNetwork&) const override { return std::nullopt; }

  std::unique_ptr<Session> open(const IntNetwork& network) override {
    const std::int64_t tile = options_.tile > 0 ? options_.tile : choose_tile(network);
    return std::make_unique<HostSession>(network, kernels(network), threads_, tile);
  }

 private:
  KernelFactory kernels(const IntNetwork& network) const {
    if (network.half()) return options_.vendor_kernels ? make_half_kernel : make_plain_half_kernel;
    return options_.vendor_kernels ? make_best_kernel : make_own_kernel;
  }

  const HostOptions options_;
  const int threads_;
};

}  // namespace

std::unique_ptr<Backend> make_host_backend(const HostOptions& options) {
  return std::make_unique<HostBackend>(options);
}

}  // namespace qnudge
