// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>

#include "qnudge/core/output_file.hpp"

namespace qnudge {

/// A file that is read in blocks, at any place, from several threads. Unlike a memory map it costs no resident memory,
/// and a file that shrinks under a reader is an error instead of a signal.
class BlockReader {
 public:
  /// Throws Error(kind input) naming the file when it is missing, no regular file or unreadable.
  explicit BlockReader(const std::filesystem::path& path);

  std::uint64_t size() const { return size_; }  ///< bytes, when it was opened
  /// Exactly out.size() bytes from `offset`; throws Error(kind input) where the file ends before.
  void read(std::uint64_t offset, std::span<std::uint8_t> out) const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::uint64_t size_ = 0;
};

/// A file that is written in blocks, in any order, from several threads, and has its name only once it is complete
/// (OutputFile). One writer at a time: a second process waits in the constructor for the lock PATH.lock.
class BlockWriter {
 public:
  /// Throws Error(kind usage) with the system's reason, as all members do.
  explicit BlockWriter(const std::filesystem::path& path);
  ~BlockWriter();  ///< removes what was not committed
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  void write(std::uint64_t offset, std::span<const std::uint8_t> bytes) { file_->write_at(offset, bytes); }
  void commit() { file_->commit(); }  ///< syncs and renames

 private:
  std::filesystem::path lock_path_;
  FileDescriptor lock_;
  std::optional<OutputFile> file_;
};

}  // namespace qnudge
