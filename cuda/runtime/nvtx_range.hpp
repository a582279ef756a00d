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

/// A span that may end in any order with others: of a run, or of a layer.
class NvtxSpan {
 public:
  explicit NvtxSpan(const char* name) : id_(nvtxRangeStartA(name)) {}
  NvtxSpan(const NvtxSpan&) = delete;
  NvtxSpan& operator=(const NvtxSpan&) = delete;
  ~NvtxSpan() { nvtxRangeEnd(id_); }

 private:
  nvtxRangeId_t id_;
};

}  // namespace qnudge::cuda
