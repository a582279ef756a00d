// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "qnudge/backend/backend.hpp"
#include "qnudge/config/config.hpp"

/// The CUDA backend as the command line sees it, whether this build has it or not.
namespace qnudge {

inline constexpr const char* kGpuSummary = "NVIDIA GPU, cuDNN";

bool gpu_built();
/// Throws Error(kind device) with the reason where there is no usable device, or none can be built in.
std::unique_ptr<Backend> make_gpu_backend(const DeviceConfig& config);
/// Why "auto" must pass the GPU by, one sentence; empty if it need not.
std::string gpu_problem();

/// Driver, runtime, cuDNN and devices, for `qnudge devices`.
nlohmann::ordered_json gpu_json();
std::string gpu_text();

/// Whether the driver takes the graphs that searches need, engine by engine.
/// Throws Error(kind device) with the reason where there is no usable device.
struct GraphTrials {
  nlohmann::ordered_json json;
  std::string text;
  bool passed = true;
};
GraphTrials try_gpu_graphs();

}  // namespace qnudge
