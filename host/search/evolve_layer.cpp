// SPDX-License-Identifier: MIT
#include "evolve_layer.hpp"

#include <algorithm>

namespace qnudge {

void evolve_layer(LayerSearch& search, const EvolveLimits& limits, const StopFlag& stop, const HistorySink& history,
                  const std::function<void()>& pause) {
  const auto generation = [&] { return static_cast<std::int32_t>(search.mailbox().generation); };
  while (generation() < limits.generations && !stop) {
    const std::int32_t piece = limits.pause_every > 0 ? generation() + limits.pause_every : limits.generations;
    search.repeat(std::min(piece, limits.generations), stop, [&] {
      for (std::int32_t chunk = 0; chunk < search.chunks(); ++chunk) {
        search.mutate(chunk);
        search.evaluate(chunk);
      }
      search.select();
    });
    history(search.take_history());
    if (limits.pause_every > 0 && generation() < limits.generations) pause();
  }
}

}  // namespace qnudge
