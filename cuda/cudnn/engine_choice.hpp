// SPDX-License-Identifier: MIT
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conv_graph.hpp"

namespace qnudge::cuda {

/// A knob of an engine and its value.
struct Knob {
  int type = 0;  ///< cudnnBackendKnobType_t
  std::int64_t value = 0;
  friend auto operator<=>(const Knob&, const Knob&) = default;
};

/// What decides the kernels of a plan, as plain data. Both numbers mean something for one version of cuDNN and one kind
/// of graph alone.
struct EngineChoice {
  std::int64_t engine = 0;  ///< cuDNN's global index
  std::vector<Knob> knobs;  ///< ascending by type; the engine sets those that are not named
  friend auto operator<=>(const EngineChoice&, const EngineChoice&) = default;
};

/// "engine 2, knob 24 at 47"
std::string choice_text(const EngineChoice& choice);

/// A choice of cuDNN's for one graph, finalized but not compiled.
struct EngineConfig {
  EngineChoice choice;
  Descriptor engine, config;
  std::vector<Descriptor> knobs;  ///< that `config` refers to
  bool exact = true;              ///< deterministic, in exact sums, without reordered filters
  bool native_graphs = false;     ///< the plan's kernels can be had as nodes of a CUDA graph
};

/// What one mode of the heuristics names for `graph`, best first, exact or not; nothing if it knows no engine.
std::vector<EngineConfig> heuristic_configs(const Cudnn& api, const PlanTarget& target, const ConvGraph& graph,
                                            cudnnBackendHeurMode_t mode);

/// `choice` for `graph`; nothing if this cuDNN has no such engine, or does not take these knobs for this graph.
std::optional<EngineConfig> make_config(const Cudnn& api, const PlanTarget& target, const ConvGraph& graph,
                                        const EngineChoice& choice);

/// Every exact configuration that can be finalized for `task` in `form`, each once: first what the heuristics name,
/// then their engines in the same order, each with one knob at a time at each of its other values. That takes
/// milliseconds a configuration; what is named need not compile. Empty where no graph is written or no engine known.
std::vector<EngineChoice> engine_choices(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                         ConvForm form);

}  // namespace qnudge::cuda
