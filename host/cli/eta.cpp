// SPDX-License-Identifier: MIT
#include "qnudge/cli/eta.hpp"

#include <algorithm>

#include "qnudge/backend/layer_plan.hpp"

namespace qnudge {

std::map<std::string, double> search_costs(const IntNetwork& network, const std::vector<std::string>& skipped) {
  std::map<std::string, double> costs;
  for (std::size_t l = 0; l < network.layers.size(); ++l) {
    const Layer& layer = network.layers[l];
    if (!layer.tunable || std::find(skipped.begin(), skipped.end(), layer.name) != skipped.end()) continue;
    auto macs = static_cast<double>(layer.macs());
    for (const int node : make_layer_plan(network, static_cast<int>(l)).suffix) {
      const int behind = network.at(node).layer();
      if (behind >= 0) macs += static_cast<double>(network.layer(behind).macs());
    }
    costs[layer.name] = macs;
  }
  return costs;
}

double SearchClock::cost_of(const std::string& name) const {
  const auto known = costs_.find(name);
  if (known != costs_.end()) return known->second;
  double sum = 0;
  for (const auto& [other, cost] : costs_) sum += cost;
  return costs_.empty() ? 1 : sum / static_cast<double>(costs_.size());
}

void SearchClock::layer_started(const std::string& name, int left, std::int64_t done, std::int64_t generations,
                                double now) {
  cost_ = cost_of(name);
  costs_.erase(name);
  started_ = now;
  first_ = done;
  generations_ = generations;
  left_ = left;
  running_ = true;
}

void SearchClock::layer_finished(double now) {
  if (!running_) return;
  if (generations_ > 0) work_ += cost_ * static_cast<double>(generations_ - first_) / static_cast<double>(generations_);
  time_ += now - started_;
  running_ = false;
}

std::optional<double> SearchClock::remaining(std::int64_t generation, double now) const {
  if (!running_ || generations_ <= 0) return std::nullopt;
  const auto share = [&](std::int64_t count) {
    return cost_ * static_cast<double>(count) / static_cast<double>(generations_);
  };
  const double work = work_ + share(std::max<std::int64_t>(generation - first_, 0));
  const double time = time_ + (now - started_);
  if (work <= 0 || time <= 0) return std::nullopt;
  // A resumed run does not say which layers an earlier session finished: the unseen ones stand in by their mean.
  const double ahead = share(std::max<std::int64_t>(generations_ - generation, 0)) + left_ * cost_of("");
  return time / work * ahead;
}

}  // namespace qnudge
