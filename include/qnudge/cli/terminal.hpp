// SPDX-License-Identifier: MIT
#pragma once

#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

namespace qnudge {

/// The two streams of a command. Results go to `out`; everything else goes to `err` through here, so that whole lines
/// and the one line that is redrawn in place never mix. Safe to use from several threads.
class Terminal {
 public:
  Terminal(std::ostream& out, std::ostream& err);

  std::ostream& out() { return out_; }
  /// True if `err` is the process's stderr and a person looks at it.
  bool interactive() const { return interactive_; }
  /// Writes a line (without its newline) above the status line; see `cleaned`.
  void line(std::string_view text);
  /// Replaces the status line, cut to the terminal's width; empty removes it. Nothing unless interactive.
  void status(std::string_view text);
  /// Columns that a status line may take.
  std::size_t status_width() const;

 private:
  void clear_status();

  std::ostream& out_;
  std::ostream& err_;
  bool interactive_ = false;
  std::mutex mutex_;
  std::string status_;
};

enum class Verbosity { quiet, normal, verbose };

/// While it lives, spdlog's default logger writes whole lines to the terminal: errors always, warnings and information
/// unless quiet, details only if verbose.
class LogScope {
 public:
  LogScope(Terminal& terminal, Verbosity verbosity);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;
};

}  // namespace qnudge
