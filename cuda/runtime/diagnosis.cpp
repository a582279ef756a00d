// SPDX-License-Identifier: MIT
#include "diagnosis.hpp"

#include <fmt/format.h>

#include <regex>
#include <set>
#include <sstream>

namespace qnudge::cuda {

std::string log_sentence(std::string_view lines) {
  static const std::regex kTimeAndThread(R"(^\[\d+:\d+:\d+(\.\d+)?\](\[\d+\])?\s*)");
  std::istringstream all{std::string(lines)};
  std::string sentence;
  std::set<std::string> seen;
  for (std::string line; std::getline(all, line);) {
    line = std::regex_replace(line, kTimeAndThread, "");
    if (!line.empty() && seen.insert(line).second) sentence += (sentence.empty() ? ": " : " ") + line;
  }
  return sentence;
}

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string capability_problem(const CudaDeviceInfo& device) {
  if (device.major >= 8) return {};
  return fmt::format("compute capability {}.{}; qnudge needs 8.0 (Ampere) or newer", device.major, device.minor);
}

std::string status_problem(cudaError_t first_call, const CudaStatus& found) {
  if (first_call == cudaErrorInsufficientDriver && found.driver == 0) return "no NVIDIA driver is installed";
  if (first_call == cudaErrorInsufficientDriver || (found.driver > 0 && found.driver / 1000 < found.runtime / 1000)) {
    return fmt::format("the NVIDIA driver supports CUDA {}, this build needs {}: install a newer driver",
                       version_text(found.driver), version_text(found.runtime));
  }
  if (first_call == cudaErrorNoDevice) return "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it";
  if (first_call != cudaSuccess) {
    return fmt::format("CUDA does not start: {} ({})", cudaGetErrorString(first_call), cudaGetErrorName(first_call));
  }
  for (const CudaDeviceInfo& device : found.devices) {
    if (device.problem.empty()) return found.has_cudnn ? std::string() : found.cudnn;
  }
  if (found.devices.empty()) return "there is no NVIDIA GPU, or CUDA_VISIBLE_DEVICES hides it";
  return fmt::format("{}: {}", found.devices.front().name, found.devices.front().problem);
}

std::string status_warning(const CudaStatus& found) {
  if (found.has_nvrtc) return {};
  return fmt::format("most convolutions will run in the plain kernel, which is slow, because cuDNN cannot compile: {}",
                     found.nvrtc);
}

}  // namespace qnudge::cuda
