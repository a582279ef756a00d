// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "device_conv.hpp"
#include "handles.hpp"
#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {

/// Operands of a task between codes, in device memory, to try its plans on: random, made by the device itself, and such
/// that outputs spread over the range of codes, with ties and saturation among them. The plain kernel's output is kept
/// beside.
class ConvOperands {
 public:
  /// Throws Error(kind device) where memory runs out.
  ConvOperands(Device& device, const ConvTask& task);

  /// With the output to be written by what is tried.
  ConvPointers pointers(void* workspace) const;
  /// Overwrites that output, so that what writes nothing is found out. Waits.
  void spoil();
  /// Bytes in which it differs from what the plain kernel gives. Waits.
  std::int64_t differing();

 private:
  std::int64_t output_bytes() const;

  Device& device_;
  const ConvTask task_;
  const Stream stream_ = make_stream();
  DeviceArray<std::int8_t> x_, w_, residual_;
  DeviceArray<float> bias_, multiplier_;
  DeviceArray<std::byte> wanted_, found_;
  DeviceArray<std::int64_t> differing_;
};

}  // namespace qnudge::cuda
