// SPDX-License-Identifier: MIT
#include "driver_log.hpp"

#include <algorithm>
#include <array>

#include "diagnosis.hpp"

namespace qnudge::cuda {

DriverLog::DriverLog() {
  readable_ = cudaLogsCurrent(&begun_, 0) == cudaSuccess;
  cudaGetLastError();
}

std::string DriverLog::text() const {
  if (!readable_) return {};
  std::array<char, 25600> buffer{};  // as much as the driver keeps
  std::size_t size = buffer.size();
  cudaLogIterator from = begun_;
  const bool read = cudaLogsDumpToMemory(&from, buffer.data(), &size, 0) == cudaSuccess;
  cudaGetLastError();
  if (!read || size == 0) return {};
  return log_sentence({buffer.data(), std::min(size, buffer.size())});
}

}  // namespace qnudge::cuda
