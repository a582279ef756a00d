// SPDX-License-Identifier: MIT
#include "library.hpp"

#include <array>
#include <cstdlib>

#include "symbols.hpp"

namespace qnudge::cuda {
namespace {

constexpr const char* kLibrary = "libcudnn_graph.so.9";

std::string version_text(std::size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace

std::string cudnn_version_problem(std::size_t version, std::size_t built) {
  if (version / 10000 != built / 10000) {
    return fmt::format("cuDNN {} is installed; this build needs cuDNN {}", version_text(version), built / 10000);
  }
  constexpr std::size_t kOldest = 90800;  // the first with descriptions of devices
  if (version < kOldest) {
    return fmt::format("cuDNN {} is installed; qnudge needs {} or newer", version_text(version), version_text(kOldest));
  }
  return {};
}

Cudnn load_cudnn(const std::string& file) {
  const Symbols symbols(file, "cuDNN 9");
  Cudnn api{};
  symbols.find(api.get_version, "cudnnGetVersion");
  const std::string problem = cudnn_version_problem(api.version(), CUDNN_VERSION);
  require(problem.empty(), ErrorKind::device, "{}", problem);
  symbols.find(api.get_cudart_version, "cudnnGetCudartVersion");
  symbols.find(api.get_error_string, "cudnnGetErrorString");
  symbols.find(api.get_last_error_string, "cudnnGetLastErrorString");
  symbols.find(api.create, "cudnnCreate");
  symbols.find(api.destroy, "cudnnDestroy");
  symbols.find(api.set_stream, "cudnnSetStream");
  symbols.find(api.create_descriptor, "cudnnBackendCreateDescriptor");
  symbols.find(api.destroy_descriptor, "cudnnBackendDestroyDescriptor");
  symbols.find(api.set_attribute, "cudnnBackendSetAttribute");
  symbols.find(api.get_attribute, "cudnnBackendGetAttribute");
  symbols.find(api.finalize, "cudnnBackendFinalize");
  symbols.find(api.execute, "cudnnBackendExecute");
  return api;
}

const Cudnn& cudnn() {
  static const Cudnn api = [] {
    const char* folder = std::getenv("QNUDGE_CUDNN");
    return load_cudnn(folder != nullptr && *folder != '\0' ? fmt::format("{}/{}", folder, kLibrary) : kLibrary);
  }();
  return api;
}

std::string nvrtc_description(int major, bool& usable) {
  usable = false;
  try {
    const Symbols symbols(fmt::format("libnvrtc.so.{}", major), fmt::format("NVRTC {}", major));
    int (*get_version)(int*, int*) = nullptr;
    symbols.find(get_version, "nvrtcVersion");
    int found = 0, minor = 0;
    require(get_version(&found, &minor) == 0, ErrorKind::device, "NVRTC {} does not tell its version", major);
    usable = true;
    return fmt::format("{}.{}", found, minor);
  } catch (const Error& e) {
    return e.what();
  }
}

void check_cudnn(const Cudnn& api, cudnnStatus_t status, const std::string& what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  std::array<char, 512> message{};
  api.get_last_error_string(message.data(), message.size());
  fail(ErrorKind::device, "cuDNN refuses {}: {}{}{}", what, api.get_error_string(status), message[0] ? ": " : "",
       message.data());
}

}  // namespace qnudge::cuda
