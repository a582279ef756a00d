// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

namespace cuda {
class Device;
}

/// One GPU as `qnudge devices` shows it.
struct CudaDeviceInfo {
  int ordinal = 0;
  std::string name;
  int major = 0, minor = 0;  ///< compute capability
  std::int64_t memory_bytes = 0;
  std::string problem;  ///< why it cannot be used; empty if it can
};

/// What the CUDA backend finds on this machine.
struct CudaStatus {
  int driver = 0, runtime = 0;  ///< as CUDA counts: 13000 is 13.0; driver 0: none
  std::string cudnn;            ///< version and place, or why there is none
  bool has_cudnn = false;
  std::string nvrtc;  ///< version, or why there is none: without it cuDNN compiles hardly any plan
  bool has_nvrtc = false;
  std::vector<CudaDeviceInfo> devices;
  std::string problem;  ///< why no device can be used, one sentence; empty if one can
};

/// Looks; throws nothing.
CudaStatus cuda_status();

struct CudaOptions {
  std::int64_t images_per_chunk = 0;  ///< 0: chosen
  std::int64_t memory_bytes = 0;      ///< for the search of a layer; 0: most of what is free
  int streams = 4;
  bool vendor = true;     ///< false: plain kernels only
  bool autotune = false;  ///< time cuDNN's engines once per convolution, and remember the fastest
  bool graphs = true;     ///< false: generations are enqueued one by one instead of as one graph
};

/// One convolution inside a loop inside a loop, all of it one graph, replayed three times.
struct GraphTrial {
  std::string task;     ///< what was computed
  std::string conv;     ///< by which plan, in which form
  std::string engine;   ///< of cuDNN; empty for kernels of our own
  std::string census;   ///< nodes of the graph; empty if there is none
  std::string problem;  ///< why there is none, with what the driver logged, or which bytes were wrong; empty: all right
  double seconds = 0;
};

/// Tries every engine and form that a few small convolutions bring into play; `seen` is called after each. Throws
/// Error(kind device) where no device can be used.
std::vector<GraphTrial> try_graphs(const std::function<void(const GraphTrial&)>& seen);

/// The first usable device, for the engine. Throws Error(kind device) with CudaStatus::problem if there is none.
std::shared_ptr<cuda::Device> open_cuda_device(const CudaOptions& options = {});
/// The engine on that device. Throws Error(kind device) with CudaStatus::problem if there is none.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options = {});

}  // namespace qnudge
