// SPDX-License-Identifier: MIT
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "check.hpp"
#include "cuda/cudnn/plan_store.hpp"
#include "cuda_device.hpp"
#include "cudnn_planner.hpp"
#include "diagnosis.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/devices.hpp"
#include "qnudge/cuda/engine.hpp"

namespace qnudge {
namespace {

CudaDeviceInfo device_info(int ordinal) {
  CudaDeviceInfo info;
  info.ordinal = ordinal;
  cudaDeviceProp properties{};
  const cudaError_t status = cudaGetDeviceProperties(&properties, ordinal);
  if (status != cudaSuccess) {
    info.name = "unknown";
    info.problem = cudaGetErrorString(status);
    return info;
  }
  info.name = properties.name;
  info.major = properties.major;
  info.minor = properties.minor;
  info.memory_bytes = static_cast<std::int64_t>(properties.totalGlobalMem);
  info.problem = cuda::capability_problem(info);
  return info;
}

}  // namespace

CudaStatus cuda_status() {
  CudaStatus status;
  cudaRuntimeGetVersion(&status.runtime);
  cudaDriverGetVersion(&status.driver);
  int count = 0;
  const cudaError_t first_call = cudaGetDeviceCount(&count);
  for (int d = 0; first_call == cudaSuccess && d < count; ++d) status.devices.push_back(device_info(d));
  cudaGetLastError();
  cuda::find_cudnn(status);
  status.problem = cuda::status_problem(first_call, status);
  return status;
}

std::shared_ptr<cuda::Device> open_cuda_device(const CudaOptions& options) {
  const CudaStatus status = cuda_status();
  require(status.problem.empty(), ErrorKind::device, "backend 'cuda': {}", status.problem);
  const auto usable = std::find_if(status.devices.begin(), status.devices.end(),
                                   [](const CudaDeviceInfo& d) { return d.problem.empty(); });
  QNUDGE_CUDA_CHECK(cudaSetDevice(usable->ordinal));
  const std::string identity = fmt::format("{}, {}.{}, {} bytes, driver {}", usable->name, usable->major, usable->minor,
                                           usable->memory_bytes, status.driver);
  if (const std::string warning = options.vendor ? cuda::status_warning(status) : std::string(); !warning.empty()) {
    spdlog::warn("{}", warning);
  }
  const cuda::PlannerDevice device{identity, 10 * usable->major + usable->minor, cuda::plan_store_folder(),
                                   [] { cuda::check_stopped(cudaDeviceSynchronize()); }};
  auto planner =
      options.vendor ? cuda::make_cudnn_planner(cuda::cudnn(), device, options) : cuda::make_plain_planner("asked for");
  std::string description =
      fmt::format("{}, CUDA {}, {}", usable->name, cuda::version_text(status.runtime), planner->description());
  return std::make_shared<cuda::CudaDevice>(std::move(description), options, std::move(planner));
}

std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options) {
  return cuda::make_engine(open_cuda_device(options), {options.images_per_chunk, options.memory_bytes});
}

}  // namespace qnudge
