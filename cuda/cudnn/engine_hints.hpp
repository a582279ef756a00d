// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine_choice.hpp"

namespace qnudge::cuda {

/// What a choice of engine is measured for. Images and candidates are not among it: a chunk fills the device.
struct HintKey {
  std::size_t cudnn = 0;  ///< version, as cuDNN counts
  int architecture = 0;   ///< compute capability times 10
  ConvRole role = ConvRole::single;
  std::int64_t c = 0, k = 0, r = 0, s = 0;  ///< of the filter
  std::int64_t pixels = 0;                  ///< of one output
  bool addition = false;                    ///< one is to be fused
  friend auto operator<=>(const HintKey&, const HintKey&) = default;
};
HintKey hint_key(std::size_t cudnn, int architecture, const ConvTask& task);

struct EngineHint {
  EngineChoice choice;
  bool addition_apart = false;  ///< for the task without its addition, which is then a pass of its own
  friend auto operator<=>(const EngineHint&, const EngineHint&) = default;
};
std::string hint_text(const EngineHint& hint);

/// Key and hint as one JSON object on one line: what a benchmark writes as "hint" beside "microseconds" and
/// "differing", for scripts/engine_hints.py to fill the table with.
std::string hint_json(const HintKey& key, const EngineHint& hint);

/// Which engine to try before asking the heuristics, for tasks of codes in one graph. A hint can only be slow, not
/// wrong: bytes are the same, and what does not finalize or compile is passed over.
class EngineHints {
 public:
  /// The table engine_hints.json: "measured", a list of objects as hint_json writes them, and "defaults", choices by
  /// role and ranges of channels until there is a measurement. Throws Error(kind input) if it is anything else.
  explicit EngineHints(std::string_view json);
  /// The table of this build.
  static const EngineHints& built_in();

  /// Best first: what was measured for exactly this key, else the defaults for its channels, else nothing.
  std::vector<EngineHint> find(const HintKey& key) const;

 private:
  /// Choices for a range of filters.
  struct Default {
    std::size_t cudnn;
    int architecture;
    std::vector<ConvRole> roles;
    std::int64_t multiple;  ///< of both numbers of channels
    std::int64_t c_low, c_high, k_low, k_high;
    std::vector<EngineChoice> choices;
  };
  std::map<HintKey, EngineHint> measured_;
  std::vector<Default> defaults_;
};

}  // namespace qnudge::cuda
