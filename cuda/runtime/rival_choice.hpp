// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace qnudge::cuda {

/// What can be found out about rivals by running them. The first two throw Error where a rival cannot be run.
class RivalTrial {
 public:
  virtual ~RivalTrial() = default;
  virtual bool equal(std::size_t rival) = 0;  ///< to what the plain kernel gives
  /// Of one launch, on average over `launches` of them in a row.
  virtual float milliseconds(std::size_t rival, int launches) = 0;
  /// Throws Error if not the rival but the device has failed: nothing can be run any more.
  virtual void check_device() = 0;
};

/// Of one launch: the median of five batches of ten. Given up behind a first batch that takes more than twice `best`
/// a launch, where `best` is the time of another: more batches would not make it the faster one.
float median_milliseconds(std::size_t rival, RivalTrial& trial, std::optional<float> best);

/// The fastest of `rivals` that is equal, the first of equally fast ones. One that differs or cannot be run is named in
/// a warning and left out; nothing if none is left. `task` and `names`, by rival, are for messages.
std::optional<std::size_t> fastest_rival(const std::string& task, std::span<const std::string> names,
                                         std::span<const std::size_t> rivals, RivalTrial& trial);

/// Rivals, by index, that do not need much more workspace than the most modest one: the largest workspace decides
/// whether anything can be tried, and what a search is left with.
std::vector<std::size_t> affordable_rivals(std::span<const std::size_t> workspace_bytes);

}  // namespace qnudge::cuda
