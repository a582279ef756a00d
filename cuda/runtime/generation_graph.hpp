// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "loops.hpp"
#include "program_runner.hpp"
#include "qnudge/backend/backend.hpp"
#include "qnudge/cuda/graph_census.hpp"

namespace qnudge::cuda {

/// A program as the body of one WHILE node: all generations of a layer as a single launch.
class GenerationGraph {
 public:
  /// Captures `program`, to be run at most `times` times, at least once. Throws Error(kind device) if the device or the
  /// driver cannot have it as a graph.
  GenerationGraph(ProgramRunner& runner, const Program& program, std::int32_t times);

  const GraphCensus& census() const { return census_; }
  /// One launch, one wait; when `stop` is set, no further generation begins. Returns how many were finished.
  std::int32_t run(const StopFlag& stop);

 private:
  ProgramRunner& runner_;
  std::shared_ptr<GraphControl> control_;
  Graph graph_;
  GraphExec exec_;
  GraphCensus census_;
};

}  // namespace qnudge::cuda
