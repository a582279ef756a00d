// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "device_conv.hpp"
#include "handles.hpp"

namespace qnudge::cuda {

struct FreeTrialMemory {
  void operator()(std::byte* data) const noexcept { cudaFree(data); }
};
using TrialMemory = std::unique_ptr<std::byte, FreeTrialMemory>;
/// Device memory for a trial. Throws Error(kind device), with the same words whatever the size, where it runs out.
TrialMemory allocate_for_trial(std::int64_t bytes);

/// Operands of a task between codes, in memory of the current device, to try its plans on: random, made by the device
/// itself, and such that outputs spread over the range of codes, with ties and saturation among them. The plain
/// kernel's output is kept beside.
class ConvOperands {
 public:
  /// Throws Error(kind device) where memory runs out or the device stops.
  explicit ConvOperands(const ConvTask& task);

  /// With the output to be written by what is tried.
  ConvPointers pointers(void* workspace) const;
  /// Overwrites that output, so that what writes nothing is found out. Waits.
  void spoil();
  /// Bytes in which it differs from what the plain kernel gives, once the device has done all that it was given. Waits.
  std::int64_t differing();

 private:
  std::int64_t output_bytes() const;

  const ConvTask task_;
  const Stream stream_ = make_stream();
  TrialMemory x_, w_, bias_, multiplier_, residual_, wanted_, found_, differing_;
};

}  // namespace qnudge::cuda
