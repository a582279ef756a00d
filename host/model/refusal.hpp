// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "qnudge/core/printable.hpp"

namespace qnudge {

/// Why a node cannot be imported, without file and node: the import loop adds those.
class Refusal : public std::runtime_error {
 public:
  enum class Kind {
    malformed,    ///< contradicts ONNX or is hostile: the model is refused at once
    unsupported,  ///< valid, but beyond qnudge: collected and reported with what it feeds
  };
  Refusal(Kind kind, const std::string& reason) : std::runtime_error(reason), kind_(kind) {}
  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

template <class... Args>
[[noreturn]] void malformed(fmt::format_string<Args...> format, Args&&... args) {
  throw Refusal(Refusal::Kind::malformed, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) {
  throw Refusal(Refusal::Kind::unsupported, fmt::format(format, std::forward<Args>(args)...));
}

/// Malformed unless `condition` holds.
template <class... Args>
void check(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) malformed(format, std::forward<Args>(args)...);
}

/// Unsupported unless `condition` holds.
template <class... Args>
void check_supported(bool condition, fmt::format_string<Args...> format, Args&&... args) {
  if (!condition) unsupported(format, std::forward<Args>(args)...);
}

}  // namespace qnudge
