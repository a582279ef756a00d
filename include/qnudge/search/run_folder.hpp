// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "qnudge/core/files.hpp"
#include "qnudge/core/output_file.hpp"

namespace qnudge {

/// How much of history.jsonl a checkpoint accounts for, and its fingerprint.
struct HistoryMark {
  std::uint64_t bytes = 0;
  std::string fingerprint;  ///< of nothing: empty
};

/// The folder of one run: paths, the lock that keeps a second process out, and the growing history.
class RunFolder {
 public:
  /// Creates the folder, takes its lock, clears away what killed processes left. Throws Error(kind usage): not
  /// creatable or writable, in use by another process.
  explicit RunFolder(std::filesystem::path folder);
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  /// Throws Error(kind usage) where the folder of a new run, or of one to resume, cannot be used as far as can be told:
  /// not writable, in use, holds a run already, or none that could be resumed. Changes nothing.
  static void check(const std::filesystem::path& folder, bool resume);

  /// Says what to type instead.
  [[noreturn]] static void refuse_second_run(const std::filesystem::path& folder);

  std::filesystem::path file(std::string_view name) const { return folder_ / name; }
  std::filesystem::path checkpoint() const { return file(kCheckpoint); }
  std::filesystem::path history() const { return file("history.jsonl"); }

  /// Cuts the history to what `mark` says and opens it for appending. Throws Error(kind input) if it is shorter, or not
  /// what was marked.
  void open_history(const HistoryMark& mark);
  /// Appends whole lines and syncs them; the mark of all there is.
  HistoryMark append_history(std::string_view lines);

 private:
  static constexpr std::string_view kLock = ".lock", kCheckpoint = "checkpoint.bin";
  static bool holds_run(const std::filesystem::path& folder);

  const std::filesystem::path folder_;
  FileDescriptor lock_, history_file_;
  std::uint64_t history_bytes_ = 0;
  Fingerprint history_content_;
};

}  // namespace qnudge
