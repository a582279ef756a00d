// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <array>
#include <string>

namespace qnudge::cuda {

/// A GPU that need not be here, in figures of its maker's data sheet and CUDA's table of compute capabilities.
struct DescribedDevice {
  const char* name;
  const char* architecture;
  int compute_capability;  ///< times 100, as cuDNN counts
  int multiprocessors;
  int shared_bytes;     ///< largest a block may ask for
  int blocks, threads;  ///< per multiprocessor
  long long memory_bytes;
  int clock_khz, memory_clock_khz;
  int l2_bytes;

  /// What cuDNN's device properties read.
  std::string json() const {
    return fmt::format(
        R"({{"deviceName":"{}","cudaDeviceId":0,"deviceVer":{},"driverVer":13000,"maxGridSize":[2147483647,65535,65535],)"
        R"("maxBlockSize":[1024,1024,64],"regsPerBlock":65536,"multiProcessorCount":{},"warpSize":32,)"
        R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":1024,)"
        R"("maxRegistersPerSM":65536,"maxCtasPerSM":{},"maxThreadsPerBlock":1024,"maxThreadsPerSM":{},"pciDeviceId":0,)"
        R"("isTccDriver":0,"supportCoopLaunch":1,"totalGlobalMem":{},"smClockRateKHz":{},"memClockRateKHz":{},)"
        R"("l2CacheSize":{}}})",
        name, compute_capability, multiprocessors, shared_bytes, blocks, threads, memory_bytes, clock_khz,
        memory_clock_khz, l2_bytes);
  }
};

inline constexpr std::array kDescribedDevices = {
    DescribedDevice{"NVIDIA H200", "sm_90", 900, 132, 232448, 32, 2048, 150754820096, 1980000, 3201000, 62914560},
    DescribedDevice{"NVIDIA A100-SXM4-80GB", "sm_80", 800, 108, 166912, 32, 2048, 85045870592, 1410000, 1593000,
                    41943040},
    DescribedDevice{"NVIDIA B200", "sm_100", 1000, 148, 232448, 32, 2048, 191000000000, 1965000, 3996000, 132644864},
    DescribedDevice{"NVIDIA GeForce RTX 5090", "sm_120", 1200, 170, 101376, 24, 1536, 33661911040, 2407000, 14001000,
                    100663296},
};

}  // namespace qnudge::cuda
