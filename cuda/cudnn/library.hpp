// SPDX-License-Identifier: MIT
#pragma once

#include <cudnn_graph.h>

#include <string>

namespace qnudge::cuda {

/// The functions of cuDNN 9 that qnudge calls, found at run time: a machine without cuDNN runs everything else.
struct Cudnn {
  decltype(&::cudnnGetVersion) get_version;
  decltype(&::cudnnGetCudartVersion) get_cudart_version;
  decltype(&::cudnnGetErrorString) get_error_string;
  decltype(&::cudnnGetLastErrorString) get_last_error_string;
  decltype(&::cudnnCreate) create;
  decltype(&::cudnnDestroy) destroy;
  decltype(&::cudnnSetStream) set_stream;
  decltype(&::cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&::cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&::cudnnBackendSetAttribute) set_attribute;
  decltype(&::cudnnBackendGetAttribute) get_attribute;
  decltype(&::cudnnBackendFinalize) finalize;
  decltype(&::cudnnBackendExecute) execute;

  std::size_t version() const { return get_version(); }  ///< major * 10000 + minor * 100 + patch
  int cuda_major() const { return static_cast<int>(get_cudart_version() / 1000); }  ///< of the CUDA that it is made for
};

/// Loads the library `file`, e.g. "libcudnn_graph.so.9" or a path. Throws Error(kind device) if it is missing, lacks a
/// function, or is not of the major version that this build knows.
Cudnn load_cudnn(const std::string& file);

/// The library of this machine, loaded once: from the folder that the environment variable QNUDGE_CUDNN names, else
/// where the loader looks. Throws as load_cudnn.
const Cudnn& cudnn();

/// NVRTC of CUDA `major`, with which cuDNN compiles nearly all of the plans made here: its version, or, if `usable`
/// comes back false, why the loader does not find it.
std::string nvrtc_description(int major, bool& usable);

/// Why `version` does not serve a build against `built`; empty if it does.
std::string cudnn_version_problem(std::size_t version, std::size_t built);

/// Throws Error(kind device) with cuDNN's own words unless `status` is success.
void check_cudnn(const Cudnn& api, cudnnStatus_t status, const std::string& what);

}  // namespace qnudge::cuda
