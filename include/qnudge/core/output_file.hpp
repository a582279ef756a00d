// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "qnudge/core/system_call.hpp"

namespace qnudge {

/// How an output path is meant.
enum class OutputKind {
  own,    ///< a file in a folder of qnudge's: takes the place of a regular file or a link of that name
  named,  ///< a path that the user gave: links are followed; devices, pipes and /dev/stdout are written to, and writing
          ///< comes by stop_point
};

/// A file that has its name only once it is complete; the only way in which one is written. Bytes go to a new file in
/// the same folder under a name that nobody can foresee, which is synced and renamed: after a crash at any instant the
/// path holds the old or the new bytes, and a file that is replaced keeps its permissions. Never is anything renamed
/// over a folder, a device, a pipe or a socket; of `named` the last three are written to directly, as the shell's `>`
/// does (a named pipe's reader may be five seconds late). A link that another user has put into a folder where
/// everybody may write is not followed. All members throw Error(kind usage) with the path and the system's reason.
class OutputFile {
 public:
  OutputFile(std::filesystem::path path, OutputKind kind);
  ~OutputFile();  ///< removes what was not committed
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::uint8_t> bytes);
  /// At any place, from several threads; not for `named`.
  void write_at(std::uint64_t offset, std::span<const std::uint8_t> bytes);
  void commit();  ///< syncs and renames

 private:
  void create_temporary();
  void open_directly();
  void sync();

  const OutputKind kind_;
  const std::filesystem::path path_;  ///< as given, for messages
  std::filesystem::path target_;      ///< links followed
  std::filesystem::path temporary_;   ///< empty: written to directly
  FileDescriptor file_;
};

/// Throws what OutputFile's constructor would throw of a `named` path, and creates, opens and waits for nothing.
void require_writable_output(const std::filesystem::path& path);

/// True of /dev/stdout and of whatever stands for it.
bool is_standard_output(const std::filesystem::path& path);

/// A path beside `path` that nobody can foresee.
std::filesystem::path temporary_beside(const std::filesystem::path& path);

/// Throws Error(kind usage) unless a file may be renamed to `path`: it does not exist, is a regular file or a link.
void require_replaceable(const std::filesystem::path& path);

/// Makes a rename in `folder` outlive a loss of power, where the file system can.
void sync_folder(const std::filesystem::path& folder);

/// Removes the temporary files that killed processes have left in `folder`; those of living ones stay.
void remove_abandoned_output(const std::filesystem::path& folder);

}  // namespace qnudge
