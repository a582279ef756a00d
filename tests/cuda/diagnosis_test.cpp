// SPDX-License-Identifier: MIT
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cuda/runtime/diagnosis.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

CudaDeviceInfo device(int major, int minor) {
  CudaDeviceInfo info{.name = "Some GPU", .major = major, .minor = minor};
  info.problem = capability_problem(info);
  return info;
}

CudaStatus usable(std::vector<CudaDeviceInfo> devices) {
  return {.driver = 13020, .runtime = 13000, .cudnn = "9.19.0", .has_cudnn = true, .devices = std::move(devices)};
}

TEST(Diagnosis, NamesWhatIsMissing) {
  EXPECT_EQ(status_problem(cudaErrorInsufficientDriver, {.driver = 0, .runtime = 13000}),
            "no NVIDIA driver is installed");
  EXPECT_EQ(status_problem(cudaErrorInsufficientDriver, {.driver = 12040, .runtime = 13000}),
            "the NVIDIA driver supports CUDA 12.4, this build needs 13.0: install a newer driver");
  EXPECT_THAT(status_problem(cudaErrorNoDevice, {.driver = 13000, .runtime = 13000}), HasSubstr("no NVIDIA GPU"));
  EXPECT_THAT(status_problem(cudaSuccess, {.driver = 13000, .runtime = 13000}), HasSubstr("no NVIDIA GPU"));
  EXPECT_THAT(status_problem(cudaErrorSystemNotReady, {.driver = 13000, .runtime = 13000}),
              HasSubstr("CUDA does not start: "));
}

TEST(Diagnosis, AcceptsNewerDriversAndOneUsableDevice) {
  EXPECT_THAT(status_problem(cudaSuccess, usable({device(9, 0)})), IsEmpty());
  EXPECT_THAT(status_problem(cudaSuccess, usable({device(7, 5), device(8, 0)})), IsEmpty());
}

TEST(Diagnosis, NeedsCudnn) {
  CudaStatus status = usable({device(9, 0)});
  status.has_cudnn = false;
  status.cudnn = "cuDNN 9 cannot be loaded: why";
  EXPECT_EQ(status_problem(cudaSuccess, status), "cuDNN 9 cannot be loaded: why");
}

TEST(Diagnosis, WarnsWhereCudnnCannotCompile) {
  CudaStatus status = usable({device(9, 0)});
  status.nvrtc = "NVRTC 13 cannot be loaded: why";
  EXPECT_THAT(status_problem(cudaSuccess, status), IsEmpty()) << "the plain kernels serve";
  EXPECT_THAT(status_warning(status), AllOf(HasSubstr("plain kernel"), HasSubstr("NVRTC 13 cannot be loaded: why")));
  status.has_nvrtc = true;
  status.nvrtc = "13.0";
  EXPECT_THAT(status_warning(status), IsEmpty());
}

TEST(Diagnosis, ADriversLogIsOneSentenceThatDoesNotChangeWithTheTime) {
  EXPECT_EQ(log_sentence(""), "");
  EXPECT_EQ(log_sentence("[22:21:32.099][25642][CUDA][E] Conditional nodes do not support EVENT_WAIT nodes\n"
                         "[22:21:32.100][25642][CUDA][E] Returning 1 (CUDA_ERROR_INVALID_VALUE)\n"
                         "[22:21:33.000][25642][CUDA][E] Returning 1 (CUDA_ERROR_INVALID_VALUE)\n\n"),
            ": [CUDA][E] Conditional nodes do not support EVENT_WAIT nodes [CUDA][E] Returning 1 "
            "(CUDA_ERROR_INVALID_VALUE)");
  EXPECT_EQ(log_sentence("no time at all"), ": no time at all");
}

TEST(Diagnosis, RefusesOldDevices) {
  EXPECT_EQ(status_problem(cudaSuccess, {.driver = 13000, .runtime = 13000, .devices = {device(7, 5)}}),
            "Some GPU: compute capability 7.5; qnudge needs 8.0 (Ampere) or newer");
  EXPECT_THAT(capability_problem({.major = 8, .minor = 0}), IsEmpty());
  EXPECT_THAT(capability_problem({.major = 12, .minor = 0}), IsEmpty());
}

TEST(Diagnosis, OfThisMachineAgreesWithItself) {
  const CudaStatus status = cuda_status();
  EXPECT_GE(status.runtime, 13000);
  if (status.problem.empty()) {
    EXPECT_NE(make_cuda_backend(), nullptr);
    return;
  }
  try {
    make_cuda_backend();
    FAIL() << "no error, but: " << status.problem;
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::device);
    EXPECT_THAT(e.what(), HasSubstr(status.problem));
  }
}

}  // namespace
}  // namespace qnudge::cuda
