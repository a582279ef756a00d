// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "image_store.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/quant/targets.hpp"
#include "tile_program.hpp"

namespace qnudge {

constexpr std::int64_t kRowBlock = 512;

/// What one layer reads at the observed positions, from the network as it stands.
struct SampledRows {
  std::int64_t rows = 0, groups = 1, taps = 0;
  AlignedBuffer inputs;  ///< [rows, groups, taps] codes, taps in RSC order; zeros up to whole blocks of kRowBlock rows
  std::vector<std::int8_t> shortcut;  ///< [rows, K] codes of the target site's shortcut; empty without one
  const std::int8_t* codes() const { return reinterpret_cast<const std::int8_t*>(inputs.data()); }
};

/// Runs the prefix of `layer` over all images, tiles spread over `threads`.
SampledRows sample_rows(const IntNetwork& network, const std::vector<PreparedLayer>& layers, int layer,
                        const HostImages& images, const LayerTargets& targets, int threads);

}  // namespace qnudge
