// SPDX-License-Identifier: MIT
#pragma once

#include <nvtx3/nvToolsExt.h>

namespace qnudge::cuda {

/// A span of host time that profilers show under `name`; costs next to nothing without one.
class NvtxRange {
 public:
  explicit NvtxRange(const char* name) { nvtxRangePushA(name); }
  NvtxRange(const NvtxRange&) = delete;
  NvtxRange& operator=(const NvtxRange&) = delete;
  ~NvtxRange() { nvtxRangePop(); }
};

}  // namespace qnudge::cuda
