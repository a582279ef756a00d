// SPDX-License-Identifier: MIT
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <type_traits>

namespace qnudge::cuda {

template <class Handle, auto destroy>
struct DestroyHandle {
  void operator()(Handle handle) const noexcept { destroy(handle); }
};
template <class Handle, auto destroy>
using OwnedHandle = std::unique_ptr<std::remove_pointer_t<Handle>, DestroyHandle<Handle, destroy>>;

using Stream = OwnedHandle<cudaStream_t, cudaStreamDestroy>;
using Event = OwnedHandle<cudaEvent_t, cudaEventDestroy>;
using Graph = OwnedHandle<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = OwnedHandle<cudaGraphExec_t, cudaGraphExecDestroy>;

Stream make_stream();
Event make_event();  ///< without timing

}  // namespace qnudge::cuda
