// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "qnudge/core/error.hpp"

namespace qnudge::fuzz {

using Input = std::span<const std::uint8_t>;

/// What the first byte of an input chooses, and the bytes behind it.
struct Choice {
  std::uint8_t options = 0;
  Input rest;

  explicit Choice(Input input) : options(input.empty() ? 0 : input[0]), rest(input.subspan(input.empty() ? 0 : 1)) {}
};

/// Two files in one input: a length in two bytes, little-endian, the first file, the second file.
struct Pair {
  Input first, second;

  explicit Pair(Input input) {
    if (input.size() < 2) return;
    const std::size_t length = std::min<std::size_t>(input[0] + 256u * input[1], input.size() - 2);
    first = input.subspan(2, length);
    second = input.subspan(2 + length);
  }
};

/// A folder of this process, in memory where the system has such a place; removed at the end.
inline const std::filesystem::path& folder() {
  static const struct Folder {
    std::filesystem::path path;
    Folder() {
      const std::filesystem::path memory = "/dev/shm";
      std::string name = ((::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path()) /
                          "qnudge-fuzz-XXXXXX")
                             .string();
      if (::mkdtemp(name.data()) == nullptr) std::abort();
      path = name;
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  } made;
  return made.path;
}

/// A file that stays open while its content is replaced: that costs a microsecond, a new file ten times as much.
class File {
 public:
  explicit File(const std::string& name)
      : path_(folder() / name), fd_(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
    if (fd_ < 0) std::abort();
  }
  ~File() { ::close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::filesystem::path& fill(Input bytes) const {
    const auto size = static_cast<off_t>(bytes.size());
    if (::ftruncate(fd_, size) != 0 || ::pwrite(fd_, bytes.data(), bytes.size(), 0) != size) std::abort();
    return path_;
  }

 private:
  std::filesystem::path path_;
  int fd_;
};

/// Calls a reader, which must return or refuse its input; whatever else it throws ends the fuzzer. True: returned.
template <class Call>
bool accepts(const Call& call, ErrorKind refusal = ErrorKind::input) {
  try {
    call();
    return true;
  } catch (const Error& error) {
    if (error.kind() != refusal || *error.what() == '\0') throw;
    return false;
  }
}

}  // namespace qnudge::fuzz
