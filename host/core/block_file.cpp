// SPDX-License-Identifier: MIT
#include "qnudge/core/block_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

/// pread or pwrite until all is done; false, with errno, where the system refuses; `at_end` where nothing moves.
template <class Byte, class Call>
bool transfer(const Call& call, int fd, std::uint64_t offset, std::span<Byte> bytes, bool& at_end) {
  while (!bytes.empty()) {
    const ssize_t moved = call(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (moved < 0 && errno == EINTR) continue;
    if (moved < 0) return false;
    at_end = moved == 0;
    if (at_end) return false;
    offset += static_cast<std::uint64_t>(moved);
    bytes = bytes.subspan(static_cast<std::size_t>(moved));
  }
  return true;
}

/// Until the writer that holds the lock is done; false, with errno, where the system refuses.
bool wait_for_lock(int fd) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    try {
      stop_point();
    } catch (...) {
      ::close(fd);
      throw;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return true;
}

}  // namespace

BlockReader::BlockReader(const fs::path& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
  require(fd_ >= 0, ErrorKind::input, "{}: cannot be read: {}", path.string(), std::strerror(errno));
  struct stat info {};
  const bool regular = ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  if (!regular) ::close(fd_);
  require(regular, ErrorKind::input, "{}: is not a regular file", path.string());
  size_ = static_cast<std::uint64_t>(info.st_size);
}

BlockReader::~BlockReader() {
  ::close(fd_);
}

void BlockReader::read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  bool at_end = false;
  if (transfer(::pread, fd_, offset, out, at_end)) return;
  fail(ErrorKind::input, "{}: {}", path_.string(),
       at_end ? "has become shorter while it was in use" : std::string("cannot be read: ") + std::strerror(errno));
}

BlockWriter::BlockWriter(const fs::path& path) : path_(path), temporary_(path.string() + ".tmp") {
  while (fd_ < 0) {
    const int fd = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    require(fd >= 0, ErrorKind::usage, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
    struct stat mine {
    }, named{};
    const bool locked = wait_for_lock(fd) && ::fstat(fd, &mine) == 0;
    // The writer that this one waited for has renamed or removed the file: it has no name any more.
    const bool current = locked && ::stat(temporary_.c_str(), &named) == 0 && mine.st_ino == named.st_ino;
    if (current && ::ftruncate(fd, 0) == 0) {
      fd_ = fd;
    } else {
      const int error = errno;
      ::close(fd);
      require(locked && !current, ErrorKind::usage, "{}: cannot be written: {}", path_.string(), std::strerror(error));
    }
  }
}

BlockWriter::~BlockWriter() {
  if (fd_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(fd_);
}

void BlockWriter::write(std::uint64_t offset, std::span<const std::uint8_t> bytes) {
  bool at_end = false;
  require(transfer(::pwrite, fd_, offset, bytes, at_end), ErrorKind::usage, "{}: cannot be written: {}", path_.string(),
          at_end ? "no space left" : std::strerror(errno));
}

void BlockWriter::commit() {
  const bool done = ::fsync(fd_) == 0 && ::rename(temporary_.c_str(), path_.c_str()) == 0;
  require(done, ErrorKind::usage, "{}: cannot be written: {}", path_.string(), std::strerror(errno));
  ::close(std::exchange(fd_, -1));
}

}  // namespace qnudge
