// SPDX-License-Identifier: MIT
#include "evolve_layer.hpp"

#include <algorithm>

#include "qnudge/core/error.hpp"

namespace qnudge {

void evolve_layer(LayerSearch& search, const EvolveLimits& limits, const StopFlag& stop, const HistorySink& history,
                  const std::function<void()>& pause) {
  const auto generation = [&] { return static_cast<std::int32_t>(search.mailbox().generation); };
  while (generation() < limits.generations && !stop) {
    const std::int32_t piece = limits.pause_every > 0 ? generation() + limits.pause_every : limits.generations;
    bool whole = true;
    try {
      search.repeat(std::min(piece, limits.generations), stop, [&] {
        for (std::int32_t chunk = 0; chunk < search.chunks(); ++chunk) {
          search.mutate(chunk);
          search.evaluate(chunk);
        }
        search.select();
      });
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::interrupted) throw;
      whole = false;
    }
    history(search.take_history());
    if (!whole) return;
    if (limits.pause_every > 0 && generation() < limits.generations) pause();
  }
}

}  // namespace qnudge
