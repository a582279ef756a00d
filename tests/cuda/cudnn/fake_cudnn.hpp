// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cuda/cudnn/library.hpp"

namespace qnudge::cuda::test {

/// What the stand-in for cuDNN answers, and what it has been asked. It has one engine, keeps what descriptors are told,
/// and computes nothing.
struct FakeCudnn {
  bool takes_codes = true;           ///< the engine takes graphs of int8; of halves it always does
  std::int64_t workspace_bytes = 0;  ///< of every plan
  std::string json = "{}";           ///< of every plan
  int compiled = 0;                  ///< plans finalized, from engines
  int rebuilt = 0;                   ///< plans finalized, from JSON
  std::vector<std::map<std::int64_t, const void*>> executed;  ///< pointers by tensor, of each execution

  /// The functions; they speak to the FakeCudnn made last.
  static const Cudnn& api();
  static cudnnHandle_t handle();  ///< never looked into

  FakeCudnn();
  FakeCudnn(const FakeCudnn&) = delete;
  FakeCudnn& operator=(const FakeCudnn&) = delete;
  ~FakeCudnn();
};

}  // namespace qnudge::cuda::test
