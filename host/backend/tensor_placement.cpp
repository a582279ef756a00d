// SPDX-License-Identifier: MIT
#include "qnudge/backend/tensor_placement.hpp"

#include <algorithm>
#include <map>

namespace qnudge {
namespace {

/// First-fit allocation of byte ranges over the time of a program.
class ArenaPlanner {
 public:
  std::size_t take(std::size_t bytes) {
    std::size_t at = 0;
    for (const auto& [begin, end] : taken_) {  // ordered by begin
      if (at + bytes <= begin) break;
      at = std::max(at, end);
    }
    taken_[at] = at + bytes;
    peak_ = std::max(peak_, at + bytes);
    return at;
  }
  void release(std::size_t at) { taken_.erase(at); }
  std::size_t peak() const { return peak_; }

 private:
  std::map<std::size_t, std::size_t> taken_;
  std::size_t peak_ = 0;
};

}  // namespace

TensorPlacement place_tensors(std::span<const TensorStep> steps, std::span<const std::size_t> bytes,
                              const std::vector<bool>& outside, const std::vector<bool>& kept) {
  std::vector<std::size_t> last_use(bytes.size());
  for (std::size_t step = 0; step < steps.size(); ++step) {
    for (int in : steps[step].reads) last_use[static_cast<std::size_t>(in)] = step;
    auto& own = last_use[static_cast<std::size_t>(steps[step].writes)];
    own = std::max(own, step);
  }

  TensorPlacement placement;
  ArenaPlanner arena;
  std::map<int, std::size_t> live;  // node -> offset
  for (std::size_t step = 0; step < steps.size(); ++step) {
    const int node = steps[step].writes;
    const auto at = static_cast<std::size_t>(node);
    if (!outside[at]) {
      live[node] = arena.take(bytes[at]);
      placement.entries.push_back({node, live[node]});
    }
    for (auto it = live.begin(); it != live.end();) {
      const auto tensor = static_cast<std::size_t>(it->first);
      if (!kept[tensor] && last_use[tensor] == step) {
        arena.release(it->second);
        it = live.erase(it);
      } else {
        ++it;
      }
    }
  }
  placement.bytes = arena.peak();
  return placement;
}

}  // namespace qnudge
