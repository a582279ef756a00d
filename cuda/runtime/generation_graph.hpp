// SPDX-License-Identifier: MIT
#pragma once

#include <memory>

#include "loops.hpp"
#include "program_runner.hpp"
#include "qnudge/cuda/graph_launch.hpp"

namespace qnudge::cuda {

/// A program as the body of one WHILE node: all generations of a layer as a single launch.
class GenerationGraph : public PreparedGraph {
 public:
  /// Captures `program`, to be run at most `times` times, at least once, and uploads it. Throws Error(kind device) with
  /// what the driver logged if the device or the driver cannot have it as a graph.
  GenerationGraph(ProgramRunner& runner, const Program& program, std::int32_t times);

  const GraphCensus& census() const override { return census_; }
  /// One launch, one wait; can be called again.
  std::int32_t run(const StopFlag& stop) override;

 private:
  void capture(const Program& program, std::int32_t times);
  void instantiate();

  ProgramRunner& runner_;
  std::shared_ptr<GraphControl> control_;
  Graph graph_;
  GraphExec exec_;
  GraphCensus census_;
};

}  // namespace qnudge::cuda
