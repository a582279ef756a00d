// SPDX-License-Identifier: MIT
#include "qnudge/search/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

/// Opens a file of the folder that is written in place, which nobody else's may be: no link, no pipe, no second name.
FileDescriptor open_in_place(const fs::path& path, int flags) {
  auto opened = open_file(path, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0666);
  require(opened.ok(), ErrorKind::usage, "{}: cannot be written: {}", path.string(),
          opened.error == ELOOP ? "it is a link, where a file of this run belongs" : opened.reason());
  struct stat info {};
  const auto looked = system_call([&] { return ::fstat(opened.value.get(), &info); });
  require(looked.ok(), ErrorKind::usage, "{}: cannot be read: {}", path.string(), looked.reason());
  require(S_ISREG(info.st_mode) && info.st_nlink == 1, ErrorKind::usage,
          "{}: is {}, where a file of this run belongs; remove it", path.string(),
          S_ISREG(info.st_mode) ? "another name of a file elsewhere" : "no regular file");
  return std::move(opened.value);
}

/// `folder`_2, or the first number from there on that is free.
fs::path free_name(const fs::path& folder) {
  for (int number = 2;; ++number) {
    const fs::path name = fmt::format("{}_{}", folder.string(), number);
    std::error_code unknown;
    if (!fs::exists(name, unknown)) return name;
  }
}

[[noreturn]] void refuse_second_process(const fs::path& folder) {
  fail(ErrorKind::usage, "{}: another process is working in this folder; wait for it or choose another --out",
       folder.string());
}

}  // namespace

RunFolder::RunFolder(fs::path folder) : folder_(std::move(folder)) {
  create_output_folder(folder_);
  lock_ = open_in_place(file(kLock), O_CREAT);
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) refuse_second_process(folder_);
  remove_abandoned_output(folder_);
}

bool RunFolder::holds_run(const fs::path& folder) {
  std::error_code unknown;
  return fs::exists(folder / kLock, unknown) || fs::exists(folder / kCheckpoint, unknown);
}

void RunFolder::check(const fs::path& folder, bool resume) {
  check_output_folder(folder);
  std::error_code unknown;
  require(!resume || holds_run(folder), ErrorKind::usage,
          "{}: holds no run, so there is nothing to --resume; leave it out to start one, or name the run's folder with "
          "--out",
          folder.string());
  if (!resume && fs::exists(folder / kCheckpoint, unknown)) refuse_second_run(folder);
  if (!fs::exists(fs::symlink_status(folder / kLock, unknown))) return;
  const FileDescriptor lock = open_in_place(folder / kLock, 0);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) refuse_second_process(folder);
}

void RunFolder::refuse_second_run(const fs::path& folder) {
  fail(
      ErrorKind::usage,
      "{}: holds a run already; type the same command with --resume to go on with it (of a finished run that shows the "
      "result again), or with --out {} for a new one",
      folder.string(), free_name(folder).string());
}

void RunFolder::open_history(const HistoryMark& mark) {
  const std::string path = history().string();
  history_file_ = open_in_place(path, O_CREAT);
  const auto fd = [this] { return history_file_.get(); };
  struct stat info {};
  const auto looked = system_call([&] { return ::fstat(fd(), &info); });
  require(looked.ok(), ErrorKind::usage, "{}: cannot be read: {}", path, looked.reason());
  require(std::cmp_greater_equal(info.st_size, mark.bytes), ErrorKind::input,
          "{}: has {} bytes, but the checkpoint accounts for {}; the run cannot be resumed", path, info.st_size,
          mark.bytes);
  std::array<std::uint8_t, 65536> block{};
  while (history_bytes_ < mark.bytes) {
    const std::size_t wanted = std::min<std::uint64_t>(block.size(), mark.bytes - history_bytes_);
    const auto got = system_call([&] { return ::read(fd(), block.data(), wanted); });
    require(got.ok() && got.value > 0, ErrorKind::usage, "{}: cannot be read: {}", path,
            got.ok() ? "it has become shorter" : got.reason());
    history_content_.add(block.data(), static_cast<std::size_t>(got.value));
    history_bytes_ += static_cast<std::uint64_t>(got.value);
  }
  require(mark.bytes == 0 || history_content_.hex() == mark.fingerprint, ErrorKind::input,
          "{}: its first {} bytes are not those that the checkpoint accounts for: the file was damaged or changed; put "
          "back the one that the run wrote, or start afresh in another --out",
          path, mark.bytes);
  const auto cut = system_call([&] { return ::ftruncate(fd(), static_cast<off_t>(mark.bytes)); });
  require(cut.ok(), ErrorKind::usage, "{}: cannot be cut to {} bytes: {}", path, mark.bytes, cut.reason());
}

HistoryMark RunFolder::append_history(std::string_view lines) {
  const auto written =
      write_all(history_file_.get(), {reinterpret_cast<const std::uint8_t*>(lines.data()), lines.size()});
  require(written.ok(), ErrorKind::usage, "{}: cannot be written: {}", history().string(), written.reason());
  const auto synced = system_call([&] { return ::fsync(history_file_.get()); });
  require(synced.ok(), ErrorKind::usage, "{}: cannot be written: {}", history().string(), synced.reason());
  history_content_.add(lines.data(), lines.size());
  history_bytes_ += lines.size();
  return {history_bytes_, history_content_.hex()};
}

}  // namespace qnudge
