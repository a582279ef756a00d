// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cuda/cudnn/library.hpp"

namespace qnudge::cuda::test {

/// What the stand-in for cuDNN answers, and what it has been asked. Its heuristics name one engine, number 0; it keeps
/// what descriptors are told, and computes nothing. Plans may be made in several threads.
struct FakeCudnn {
  bool takes_codes = true;               ///< the heuristics take graphs of int8; of halves they always do
  bool takes_stored = true;              ///< plans are rebuilt from JSON
  std::int64_t workspace_bytes = 0;      ///< of every plan
  std::string json = "{}";               ///< of every plan
  std::set<std::int64_t> engines = {0};  ///< that can be asked for by number
  std::int64_t kernels = 1;              ///< values of every engine's one knob, KERNEL_CFG, from 0
  /// Whether an engine's kernel can be compiled; kernel -1: none is asked for. Called in several threads.
  std::function<bool(std::int64_t engine, std::int64_t kernel)> compiles = [](std::int64_t, std::int64_t) {
    return true;
  };
  std::atomic<int> compiled{0};                               ///< plans finalized, from engines
  std::atomic<int> rebuilt{0};                                ///< plans finalized, from JSON
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
