// SPDX-License-Identifier: MIT
#include "qnudge/search/run_folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {

RunFolder::RunFolder(std::filesystem::path folder) : folder_(std::move(folder)) {
  create_output_folder(folder_);
  lock_ = ::open(file(".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  require(lock_ >= 0, ErrorKind::usage, "{}: the output folder cannot be written to: {}", folder_.string(),
          std::strerror(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(std::exchange(lock_, -1));
    fail(ErrorKind::usage, "{}: another process is working in this folder; wait for it or choose another --out",
         folder_.string());
  }
}

RunFolder::~RunFolder() {
  if (history_fd_ >= 0) ::close(history_fd_);
  if (lock_ >= 0) ::close(lock_);
}

void RunFolder::open_history(std::uint64_t bytes) {
  const std::string path = history().string();
  history_fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  require(history_fd_ >= 0, ErrorKind::usage, "{}: cannot be written: {}", path, std::strerror(errno));
  struct stat info {};
  require(::fstat(history_fd_, &info) == 0, ErrorKind::usage, "{}: cannot be read: {}", path, std::strerror(errno));
  require(static_cast<std::uint64_t>(info.st_size) >= bytes, ErrorKind::input,
          "{}: has {} bytes, but the checkpoint accounts for {}; the run cannot be resumed", path, info.st_size, bytes);
  require(::ftruncate(history_fd_, static_cast<off_t>(bytes)) == 0 &&
              ::lseek(history_fd_, static_cast<off_t>(bytes), SEEK_SET) >= 0,
          ErrorKind::usage, "{}: cannot be cut to {} bytes: {}", path, bytes, std::strerror(errno));
  history_bytes_ = bytes;
}

std::uint64_t RunFolder::append_history(std::string_view lines) {
  std::string_view rest = lines;
  while (!rest.empty()) {
    const ssize_t written = ::write(history_fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    require(written > 0, ErrorKind::usage, "{}: cannot be written: {}", history().string(), std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  require(::fsync(history_fd_) == 0, ErrorKind::usage, "{}: cannot be written: {}", history().string(),
          std::strerror(errno));
  return history_bytes_ += lines.size();
}

}  // namespace qnudge
