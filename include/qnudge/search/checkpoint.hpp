// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "qnudge/search/run_folder.hpp"
#include "qnudge/search/tune.hpp"

namespace qnudge {

/// What a run must not change between two sessions; each a fingerprint.
struct RunIdentity {
  std::string model, data, config, reference;
  friend bool operator==(const RunIdentity&, const RunIdentity&) = default;
};

/// Everything that a later session needs to end in the same bytes.
struct Checkpoint {
  RunIdentity identity;
  Sensitivity order;                          ///< layers in search order
  int position = 0;                           ///< layers finished
  std::vector<LayerParams> params;            ///< [layers] of the network as tuned so far
  std::optional<PopulationState> population;  ///< of the layer at `position`, if it was under way
  std::vector<LayerResult> results;           ///< [position]
  HistoryMark history;                        ///< the part of history.jsonl that this state accounts for
  std::int64_t evaluations = 0, candidate_images = 0;
  double seconds = 0, search_seconds = 0;
  std::string stop_reason;  ///< empty while the search goes on
};

/// True if a run has begun in the folder.
bool has_checkpoint(const std::filesystem::path& folder);

/// Sealed CBOR. `load_checkpoint` throws Error(kind input) for a file cut, corrupted or of another version.
void save_checkpoint(const Checkpoint& checkpoint, const std::filesystem::path& path);
Checkpoint load_checkpoint(const std::filesystem::path& path);

/// Throws Error(kind usage) with a sentence that says which of model, data, config or reference is another one.
void require_same_run(const RunIdentity& saved, const RunIdentity& now, const std::filesystem::path& path);

}  // namespace qnudge
