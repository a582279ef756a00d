// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace qnudge {

/// The folder of one run: paths, the lock that keeps a second process out, and the growing history.
class RunFolder {
 public:
  /// Creates the folder, takes its lock. Throws Error(kind usage): not creatable or writable, in use by another
  /// process.
  explicit RunFolder(std::filesystem::path folder);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  std::filesystem::path file(std::string_view name) const { return folder_ / name; }
  std::filesystem::path checkpoint() const { return file("checkpoint.bin"); }
  std::filesystem::path history() const { return file("history.jsonl"); }

  /// Cuts the history to `bytes` and opens it for appending. Throws Error(kind input) if it is shorter than that.
  void open_history(std::uint64_t bytes);
  /// Appends whole lines and syncs them; returns the file's length.
  std::uint64_t append_history(std::string_view lines);

 private:
  const std::filesystem::path folder_;
  int lock_ = -1, history_fd_ = -1;
  std::uint64_t history_bytes_ = 0;
};

}  // namespace qnudge
