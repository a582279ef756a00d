// SPDX-License-Identifier: MIT
#include "qnudge/core/address_space.hpp"

#include <sys/mman.h>

#include "qnudge/core/error.hpp"

namespace qnudge {

void require_address_space(std::size_t bytes, std::string_view what) {
  constexpr std::size_t kMiB = std::size_t{1} << 20;
  void* const probe = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(probe != MAP_FAILED, ErrorKind::device,
          "out of memory: {} needs {} MiB of address space, more than this process is granted; raise its limit "
          "(ulimit -v), or use fewer threads or images",
          what, (bytes + kMiB - 1) / kMiB);
  ::munmap(probe, bytes);
}

}  // namespace qnudge
