// SPDX-License-Identifier: MIT
#include "rival_choice.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

constexpr std::size_t kAffordableBytes = std::size_t{256} << 20;

/// Nothing, with a warning, if the rival differs or fails.
std::optional<float> time_of(const std::string& task, const std::string& name, std::size_t rival, RivalTrial& trial,
                             std::optional<float> best) {
  try {
    if (trial.equal(rival)) return median_milliseconds(rival, trial, best);
    spdlog::warn("{}: {} gives other bytes than the plain kernel; it is not used", task, name);
  } catch (const Error& e) {
    trial.check_device();
    spdlog::warn("{}: {} cannot be run and is not used: {}", task, name, e.what());
  }
  return std::nullopt;
}

}  // namespace

float median_milliseconds(std::size_t rival, RivalTrial& trial, std::optional<float> best) {
  constexpr int kLaunches = 10;
  std::array<float, 5> times{};
  for (float& time : times) {
    time = trial.milliseconds(rival, kLaunches);
    if (&time == &times.front() && best && time > 2 * *best) return time;
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

std::optional<std::size_t> fastest_rival(const std::string& task, std::span<const std::string> names,
                                         std::span<const std::size_t> rivals, RivalTrial& trial) {
  std::optional<std::size_t> fastest;
  std::optional<float> best;
  for (const std::size_t rival : rivals) {
    const std::optional<float> time = time_of(task, names[rival], rival, trial, best);
    if (!time) continue;
    spdlog::debug("{}: {:.3f} ms, {}", task, *time, names[rival]);
    if (best && *time >= *best) continue;
    fastest = rival;
    best = time;
  }
  return fastest;
}

std::vector<std::size_t> affordable_rivals(std::span<const std::size_t> workspace_bytes) {
  std::vector<std::size_t> affordable;
  if (workspace_bytes.empty()) return affordable;
  const std::size_t least = *std::min_element(workspace_bytes.begin(), workspace_bytes.end());
  for (std::size_t i = 0; i < workspace_bytes.size(); ++i) {
    if (workspace_bytes[i] - least <= kAffordableBytes) affordable.push_back(i);
  }
  return affordable;
}

}  // namespace qnudge::cuda
