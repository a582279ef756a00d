// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "qnudge/cuda/commands.hpp"

namespace qnudge::cuda {

/// Products of bytes on the tensor cores, by cuBLASLt where this machine has it, else by the plain kernel. Sums are
/// exact integers: both give the same.
class ByteProducts {
 public:
  virtual ~ByteProducts() = default;
  /// Enqueues on `stream`; all products of one object must be on the same stream, they share a workspace.
  virtual void enqueue(const ByteProduct& product, cudaStream_t stream) = 0;
  virtual std::string description() const = 0;  ///< of the library, or why there is none
};

std::unique_ptr<ByteProducts> make_byte_products();

}  // namespace qnudge::cuda
