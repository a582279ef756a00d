// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/config/config.hpp"

namespace qnudge {

/// How a backend uses the machine; never what it computes.
struct BackendOptions {
  int threads = 0;  ///< of the host; 0: all cores
  DeviceConfig device;

  static BackendOptions of(const Config& config) { return {static_cast<int>(config.threads), config.device}; }
};

/// One backend that the command line knows.
struct BackendEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<Backend> (*make)(const BackendOptions&);  ///< throws Error(kind device) where `problem` says why
  std::string (*problem)();                                 ///< why it cannot be used here; empty if it can
};

/// All backends, in the order in which "auto" tries them.
std::span<const BackendEntry> backend_table();

/// "auto" and every name of the table.
std::vector<std::string> backend_names();

/// "auto": the first that can be used. Throws Error(kind device) for a backend that cannot be
/// used here, Error(kind usage) for an unknown name.
std::unique_ptr<Backend> make_backend(const std::string& name, const BackendOptions& options);

}  // namespace qnudge
