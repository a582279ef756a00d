// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "qnudge/config/sweep.hpp"
#include "qnudge/report/sweep_results.hpp"

namespace qnudge {

/// How long the open runs of a sweep will take, one after the other.
struct SweepEstimate {
  double seconds = 0;
  std::string source;  ///< a phrase: what it was measured by
};

/// From the done runs in the folder: every open run counts as the mean of those that agree with it on most axes. Where
/// there is none, from one short run of the first open config in a temporary folder: its fixed part, plus its search
/// times all generations. Work that runs share counts for each of them. Throws what a run throws.
SweepEstimate estimate_sweep(const std::vector<SweepRun>& runs, const SweepResults& state);

}  // namespace qnudge
