// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "qnudge/backend/graph_usage.hpp"
#include "qnudge/cuda/commands.hpp"
#include "qnudge/cuda/graph_census.hpp"

namespace qnudge::cuda {

/// All generations of a program as one launch, ready to go.
class PreparedGraph {
 public:
  virtual ~PreparedGraph() = default;
  virtual const GraphCensus& census() const = 0;
  /// Waits; when `stop` is set, no further generation begins. Returns how many were finished.
  virtual std::int32_t run(const StopFlag& stop) = 0;
};

/// Launches generations as one graph where the device can have the program as one, else one by one, and remembers
/// which.
class GraphLaunches {
 public:
  /// A graph that runs the program at most so many times. Throws Error(kind device) if the device refuses it.
  using Prepare = std::function<std::unique_ptr<PreparedGraph>(const Program&, std::int32_t times)>;
  using OneByOne = std::function<std::int32_t(const Program&, std::int32_t times, const StopFlag&)>;

  /// `graphs` false: nobody wants any.
  GraphLaunches(bool graphs, Prepare prepare, OneByOne one_by_one)
      : graphs_(graphs), prepare_(std::move(prepare)), one_by_one_(std::move(one_by_one)) {}

  /// Runs `program` `times` times unless `stop` is set; returns how often it ran. A refusal concerns this program
  /// alone; each different one is a warning once.
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop);
  const GraphUsage& usage() const { return usage_; }

 private:
  /// True if the reason is new.
  bool add_reason(const std::string& reason);
  void count(const GraphCensus& census);

  const bool graphs_;
  const Prepare prepare_;
  const OneByOne one_by_one_;
  GraphUsage usage_;
};

}  // namespace qnudge::cuda
