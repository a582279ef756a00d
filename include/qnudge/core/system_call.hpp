// SPDX-License-Identifier: MIT
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace qnudge {

/// What a system call came to. The reason of a failure is kept the moment the call returns: whatever is called, or
/// whatever argument is evaluated, between the call and the message cannot replace it. Nothing else reads errno.
template <class T>
struct Outcome {
  T value{};
  int error = 0;  ///< 0: done

  bool ok() const { return error == 0; }
  std::string reason() const;  ///< "Permission denied"
};

std::string reason_of(int error);

template <class T>
std::string Outcome<T>::reason() const {
  return reason_of(error);
}

/// Runs `call` once. It has failed where it returns -1 or a null pointer.
template <class Call>
auto system_call_once(const Call& call) -> Outcome<decltype(call())> {
  using T = decltype(call());
  errno = 0;
  const T value = call();
  const int error = errno;
  bool failed = false;
  if constexpr (std::is_pointer_v<T>) {
    failed = value == nullptr;
  } else {
    failed = value == static_cast<T>(-1);
  }
  return {value, failed ? (error != 0 ? error : EIO) : 0};
}

/// The same, again as long as a signal interrupts it. Not for close, which must not be repeated.
template <class Call>
auto system_call(const Call& call) -> Outcome<decltype(call())> {
  auto outcome = system_call_once(call);
  while (outcome.error == EINTR) outcome = system_call_once(call);
  return outcome;
}

/// Owner of a file descriptor.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { close(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  Outcome<int> close();  ///< a file's last chance to report what could not be written

 private:
  int fd_ = -1;
};

/// open(2), close-on-exec.
Outcome<FileDescriptor> open_file(const std::filesystem::path& path, int flags, unsigned mode = 0);

/// All bytes, at the descriptor's offset. A device that takes none is a failure: no space left.
Outcome<std::size_t> write_all(int fd, std::span<const std::uint8_t> bytes);

}  // namespace qnudge
