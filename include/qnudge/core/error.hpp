// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace qnudge {

/// Who can mend it; the value is the exit code of the command line.
enum class ErrorKind {
  internal = 1,     ///< a check differs, or a defect of qnudge itself
  usage = 2,        ///< command line, config, output folder
  input = 3,        ///< model or data
  device = 4,       ///< device, driver, backend
  interrupted = 5,  ///< stopped on request; resumable
};

/// One sentence for the user: the file, the key or node, what was found and what would be right.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const noexcept { return kind_; }

 private:
  ErrorKind kind_;
};

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
void require(bool condition, ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) fail(kind, format, std::forward<Args>(args)...);
}

}  // namespace qnudge
