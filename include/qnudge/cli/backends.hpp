// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

/// One backend that the command line knows.
struct BackendEntry {
  const char* name;
  const char* summary;
  std::unique_ptr<Backend> (*make)(int threads);  ///< throws Error(kind device) where `problem` says why
  std::string (*problem)();                       ///< why it cannot be used here; empty if it can
};

/// All backends, in the order in which "auto" tries them.
std::span<const BackendEntry> backend_table();

/// "auto" and every name of the table.
std::vector<std::string> backend_names();

/// `threads` 0: all cores; "auto": the first that can be used. Throws Error(kind device) for a backend that cannot be
/// used here, Error(kind usage) for an unknown name.
std::unique_ptr<Backend> make_backend(const std::string& name, int threads);

}  // namespace qnudge
