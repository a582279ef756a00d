// SPDX-License-Identifier: MIT
#include "qnudge/core/block_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/stop.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

/// Until the writer that holds the lock is done, or this one is asked to stop.
Outcome<int> wait_for_lock(int fd) {
  for (;;) {
    const auto locked = system_call([&] { return ::flock(fd, LOCK_EX | LOCK_NB); });
    if (locked.error != EWOULDBLOCK) return locked;
    stop_point();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace

BlockReader::BlockReader(const fs::path& path) : path_(path) {
  auto opened = open_file(path, O_RDONLY | O_NONBLOCK);
  require(opened.ok(), ErrorKind::input, "{}: cannot be read: {}", path.string(), opened.reason());
  struct stat info {};
  const auto looked = system_call([&] { return ::fstat(opened.value.get(), &info); });
  require(looked.ok() && S_ISREG(info.st_mode), ErrorKind::input, "{}: is not a regular file", path.string());
  file_ = std::move(opened.value);
  size_ = static_cast<std::uint64_t>(info.st_size);
}

void BlockReader::read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  while (!out.empty()) {
    const auto got =
        system_call([&] { return ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset)); });
    require(got.ok(), ErrorKind::input, "{}: cannot be read: {}", path_.string(), got.reason());
    require(got.value > 0, ErrorKind::input, "{}: has become shorter while it was in use", path_.string());
    offset += static_cast<std::uint64_t>(got.value);
    out = out.subspan(static_cast<std::size_t>(got.value));
  }
}

BlockWriter::BlockWriter(const fs::path& path) : lock_path_(path.string() + ".lock") {
  const auto give_up = [&](const std::string& reason) {
    fail(ErrorKind::usage, "{}: cannot be written: {}", path.string(), reason);
  };
  while (!lock_.is_open()) {
    auto opened = open_file(lock_path_, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0666);
    if (!opened.ok()) give_up(opened.reason());
    const auto locked = wait_for_lock(opened.value.get());
    if (!locked.ok()) give_up(locked.reason());
    struct stat mine {
    }, named{};
    const auto looked = system_call([&] { return ::fstat(opened.value.get(), &mine); });
    if (!looked.ok()) give_up(looked.reason());
    // The writer that this one waited for has removed the lock: it has no name any more.
    if (::lstat(lock_path_.c_str(), &named) == 0 && mine.st_ino == named.st_ino) lock_ = std::move(opened.value);
  }
  remove_abandoned_output(path.has_parent_path() ? path.parent_path() : fs::path("."));
  file_.emplace(path, OutputKind::own);
}

BlockWriter::~BlockWriter() {
  file_.reset();
  if (lock_.is_open()) ::unlink(lock_path_.c_str());
}

}  // namespace qnudge
