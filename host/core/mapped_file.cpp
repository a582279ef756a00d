// SPDX-License-Identifier: MIT
#include "qnudge/core/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "qnudge/core/error.hpp"
#include "qnudge/core/system_call.hpp"

namespace qnudge {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto file = open_file(path, O_RDONLY | O_NONBLOCK);
  require(file.ok(), ErrorKind::input, "{}: cannot be opened: {}", path.string(), file.reason());
  struct stat status {};
  const auto looked = system_call([&] { return ::fstat(file.value.get(), &status); });
  require(looked.ok() && S_ISREG(status.st_mode), ErrorKind::input, "{}: is not a regular file", path.string());
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  const auto mapped = system_call([&] {
    void* const data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value.get(), 0);
    return data == MAP_FAILED ? nullptr : data;
  });
  require(mapped.ok(), ErrorKind::input, "{}: cannot be mapped into memory: {}", path.string(), mapped.reason());
  data_ = mapped.value;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace qnudge
