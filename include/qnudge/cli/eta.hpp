// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// Work of one candidate on one image while a layer is searched, per layer name: MACs of the layer and of everything
/// behind it. Layers without a search are left out.
std::map<std::string, double> search_costs(const IntNetwork& network, const std::vector<std::string>& skipped);

/// Estimates how long the rest of a search takes from the work done so far. Times are seconds on any one clock.
class SearchClock {
 public:
  /// Cost per layer name; a name that is not in it counts as the mean of the others.
  explicit SearchClock(std::map<std::string, double> costs) : costs_(std::move(costs)) {}

  /// `left` layers follow this one; generations `done` of `generations` were run in an earlier session.
  void layer_started(const std::string& name, int left, std::int64_t done, std::int64_t generations, double now);
  void layer_finished(double now);
  /// Seconds until the last layer ends; nothing while too little is known.
  std::optional<double> remaining(std::int64_t generation, double now) const;

 private:
  double cost_of(const std::string& name) const;

  std::map<std::string, double> costs_;  ///< layers not started yet
  double work_ = 0, time_ = 0;           ///< finished layers of this session
  double cost_ = 0, started_ = 0;        ///< current layer
  std::int64_t first_ = 0, generations_ = 0;
  int left_ = 0;
  bool running_ = false;
};

}  // namespace qnudge
