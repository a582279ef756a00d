// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>

#include "qnudge/backend/backend.hpp"

namespace qnudge {

struct HostOptions {
  int threads = 0;             ///< 0: all cores
  std::int64_t tile = 0;       ///< images per tile; 0: chosen from the network so that activations stay in the L2 cache
  bool vendor_kernels = true;  ///< false: qnudge's own convolution kernel instead of oneDNN
};

/// Tiles of images times candidates on all cores, convolutions by oneDNN. A start-up self-test compares every kernel
/// kind with plain integers; where oneDNN is wrong on this processor, qnudge's own kernel takes its place and
/// `device()` says so.
std::unique_ptr<Backend> make_host_backend(const HostOptions& options = {});

/// Plain integer loops, whole-network evaluation for each candidate, no plan, no tiles: the oracle.
std::unique_ptr<Backend> make_reference_backend();

/// Name that the kernel gives the processor; "unknown processor" where it gives none.
std::string processor_name();

}  // namespace qnudge
