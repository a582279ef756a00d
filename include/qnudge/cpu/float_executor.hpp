// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "qnudge/backend/float_pass.hpp"
#include "qnudge/model/graph.hpp"

namespace qnudge {

/// The float network over a sequence of samples, tile by tile on several threads, convolutions by oneDNN in fp32.
class FloatExecutor {
 public:
  FloatExecutor(const Graph& graph, int threads);

  /// Output [count, outputs] in NHWC order of the output node.
  std::vector<float> run(std::int64_t count, const SampleReader& samples, const FloatObservation& observe = {}) const;

 private:
  const Graph& graph_;
  int threads_;
};

}  // namespace qnudge
