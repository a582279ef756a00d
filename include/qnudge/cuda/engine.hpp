// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "qnudge/backend/backend.hpp"
#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {

/// Choices that change speed and memory, never a result; sums of halves may round otherwise in other chunks.
struct EngineOptions {
  std::int64_t images_per_chunk = 0;  ///< 0: chosen by memory and size of the population
  std::int64_t memory_bytes = 0;      ///< device memory for the search of a layer; 0: most of what is free
};

/// The engine on any device: sessions, layer plans and searches as programs of commands.
std::unique_ptr<Backend> make_engine(std::shared_ptr<Device> device, const EngineOptions& options);

}  // namespace qnudge::cuda
