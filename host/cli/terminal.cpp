// SPDX-License-Identifier: MIT
#include "qnudge/cli/terminal.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <iostream>
#include <memory>

#include "qnudge/core/printable.hpp"

namespace qnudge {
namespace {

std::size_t terminal_width() {
  struct winsize size {};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col : 80;
}

class TerminalSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit TerminalSink(Terminal& terminal) : terminal_(terminal) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    std::string text;
    if (message.level == spdlog::level::warn) text = "warning: ";
    if (message.level >= spdlog::level::err) text = "error: ";
    if (message.level <= spdlog::level::debug) text = "debug: ";
    terminal_.line(text.append(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

  Terminal& terminal_;
};

}  // namespace

Terminal::Terminal(std::ostream& out, std::ostream& err)
    : out_(out), err_(err), interactive_(&err == &std::cerr && ::isatty(STDERR_FILENO) == 1) {}

std::size_t Terminal::status_width() const {
  return terminal_width() - 1;
}

void Terminal::clear_status() {
  if (!status_.empty()) err_ << "\r\033[K";
}

void Terminal::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  clear_status();
  err_ << cleaned(text) << '\n' << status_;
  err_.flush();
}

void Terminal::status(std::string_view text) {
  if (!interactive_) return;
  const std::lock_guard lock(mutex_);
  clear_status();
  status_ = first_columns(cleaned(text), status_width());
  err_ << status_;
  err_.flush();
}

LogScope::LogScope(Terminal& terminal, Verbosity verbosity) {
  auto logger = std::make_shared<spdlog::logger>("qnudge", std::make_shared<TerminalSink>(terminal));
  logger->set_level(verbosity == Verbosity::quiet     ? spdlog::level::err
                    : verbosity == Verbosity::verbose ? spdlog::level::debug
                                                      : spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

LogScope::~LogScope() {
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("qnudge"));  // no sinks: nothing left to write to
}

}  // namespace qnudge
