// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace qnudge::cuda {

/// What the driver says about errors, from here on: error codes alone rarely tell why a graph is refused. Drivers
/// before 580 keep no log that can be read; CUDA_LOG_FILE makes newer ones write the same to a file.
class DriverLog {
 public:
  DriverLog();
  /// The lines since, as log_sentence has them.
  std::string text() const;

 private:
  cudaLogIterator begun_{};
  bool readable_ = false;
};

}  // namespace qnudge::cuda
