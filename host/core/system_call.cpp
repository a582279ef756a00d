// SPDX-License-Identifier: MIT
#include "qnudge/core/system_call.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>

namespace qnudge {

std::string reason_of(int error) {
  return std::generic_category().message(error);
}

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Outcome<int> FileDescriptor::close() {
  if (fd_ < 0) return {};
  const auto closed = system_call_once([fd = std::exchange(fd_, -1)] { return ::close(fd); });
  return closed.error == EINTR ? Outcome<int>{} : closed;  // Linux has closed it all the same
}

Outcome<FileDescriptor> open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  const auto opened = system_call([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); });
  return {FileDescriptor(opened.value), opened.error};
}

Outcome<std::size_t> write_all(int fd, std::span<const std::uint8_t> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto written = system_call([&] { return ::write(fd, bytes.data() + done, bytes.size() - done); });
    if (!written.ok()) return {done, written.error};
    if (written.value == 0) return {done, ENOSPC};
    done += static_cast<std::size_t>(written.value);
  }
  return {done, 0};
}

}  // namespace qnudge
