// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "qnudge/cuda/conv_task.hpp"
#include "qnudge/kernels/phase_filter.hpp"

namespace qnudge::cuda {

/// A transposed convolution as one ordinary convolution per phase, each into every phases-th row and column of the
/// output.
struct Phases {
  PhaseAxis h, w;
  Window window;        ///< of each phase: taps, stride 1, padding
  std::string refusal;  ///< why there is no such form; empty if there is

  std::int64_t count() const { return h.phases * w.phases; }
};

Phases phases_of(const ConvTask& task);

}  // namespace qnudge::cuda
