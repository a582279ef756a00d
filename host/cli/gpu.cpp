// SPDX-License-Identifier: MIT
#include "gpu.hpp"

#include <fmt/format.h>

#include "qnudge/core/error.hpp"
#if QNUDGE_HAS_CUDA
#include "qnudge/cuda/devices.hpp"
#endif

namespace qnudge {

#if QNUDGE_HAS_CUDA
namespace {

std::string version_text(int version) {
  return version == 0 ? "none" : fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace

bool gpu_built() {
  return true;
}

std::unique_ptr<Backend> make_gpu_backend(const DeviceConfig& config) {
  return make_cuda_backend({.images_per_chunk = config.images,
                            .memory_bytes = config.memory_mib * 1048576,
                            .streams = static_cast<int>(config.streams),
                            .autotune = config.autotune,
                            .graphs = config.graphs});
}

std::string gpu_problem() {
  return cuda_status().problem;
}

nlohmann::ordered_json gpu_json() {
  const CudaStatus status = cuda_status();
  nlohmann::ordered_json json = {{"driver", version_text(status.driver)},
                                 {"runtime", version_text(status.runtime)},
                                 {"cudnn", status.cudnn},
                                 {"nvrtc", status.nvrtc},
                                 {"usable", status.problem.empty()},
                                 {"problem", status.problem},
                                 {"devices", nlohmann::ordered_json::array()}};
  for (const CudaDeviceInfo& d : status.devices) {
    json["devices"].push_back({{"ordinal", d.ordinal},
                               {"name", d.name},
                               {"compute_capability", fmt::format("{}.{}", d.major, d.minor)},
                               {"memory_bytes", d.memory_bytes},
                               {"problem", d.problem}});
  }
  return json;
}

std::string gpu_text() {
  const CudaStatus status = cuda_status();
  std::string text = fmt::format("CUDA       runtime {}, driver {}\ncuDNN      {}\nNVRTC      {}\n",
                                 version_text(status.runtime), version_text(status.driver), status.cudnn, status.nvrtc);
  for (const CudaDeviceInfo& d : status.devices) {
    text += fmt::format("GPU {}      {}, compute capability {}.{}, {:.1f} GiB{}\n", d.ordinal, d.name, d.major, d.minor,
                        static_cast<double>(d.memory_bytes) / 1073741824.0, d.problem.empty() ? "" : ": " + d.problem);
  }
  return text;
}

GraphTrials try_gpu_graphs() {
  GraphTrials all{nlohmann::ordered_json::array(), "graphs     one convolution each, in a loop in a loop, 3 replays\n"};
  try_graphs([&](const GraphTrial& t) {
    all.passed = all.passed && t.problem.empty();
    all.json.push_back({{"task", t.task},
                        {"conv", t.conv},
                        {"engine", t.engine},
                        {"census", t.census},
                        {"problem", t.problem},
                        {"seconds", t.seconds}});
    all.text += fmt::format("  {}\n    {}\n    {}{}{}\n", t.task, t.conv, t.census, t.census.empty() ? "" : "; ",
                            t.problem.empty() ? "equal" : t.problem);
  });
  return all;
}
#else
bool gpu_built() {
  return false;
}

std::unique_ptr<Backend> make_gpu_backend(const DeviceConfig&) {
  fail(ErrorKind::device, "backend 'cuda': {}; use --backend host", gpu_problem());
}

std::string gpu_problem() {
  return "this build of qnudge has no CUDA backend, build it where the CUDA Toolkit 13 is installed";
}

nlohmann::ordered_json gpu_json() {
  return {{"usable", false}, {"problem", gpu_problem()}};
}

std::string gpu_text() {
  return {};
}

GraphTrials try_gpu_graphs() {
  fail(ErrorKind::device, "devices --try: {}", gpu_problem());
}
#endif

}  // namespace qnudge
