// SPDX-License-Identifier: MIT
#include "engine_choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

constexpr std::array kForbidden = {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS,
                                   CUDNN_NUMERICAL_NOTE_FFT,
                                   CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
                                   CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC,
                                   CUDNN_NUMERICAL_NOTE_WINOGRAD,
                                   CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4,
                                   CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
                                   CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13};

/// What a knob can be asked to be.
struct KnobRange {
  int type;
  std::int64_t low, high, stride;
};

std::vector<Descriptor> descriptors(const Cudnn& api, cudnnBackendDescriptorType_t type, const char* what,
                                    std::size_t count) {
  std::vector<Descriptor> all;
  for (std::size_t i = 0; i < count; ++i) all.emplace_back(api, type, what);
  return all;
}

/// The descriptors that an attribute holds, sixteen at most.
std::vector<Descriptor> filled(const Cudnn& api, const Descriptor& from, cudnnBackendAttributeName_t name,
                               cudnnBackendDescriptorType_t type, const char* what) {
  std::vector<Descriptor> all = descriptors(api, type, what, 16);
  const auto count = static_cast<std::size_t>(from.fill(name, all));
  while (all.size() > count) all.pop_back();
  return all;
}

std::vector<KnobRange> knob_ranges(const Cudnn& api, const Descriptor& engine) {
  std::vector<KnobRange> ranges;
  for (const Descriptor& info :
       filled(api, engine, CUDNN_ATTR_ENGINE_KNOB_INFO, CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR, "a knob")) {
    const auto bound = [&](cudnnBackendAttributeName_t name) { return info.values<std::int64_t>(name, 1).at(0); };
    ranges.push_back({static_cast<int>(info.values<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_INFO_TYPE, 1).at(0)),
                      bound(CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE), bound(CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE),
                      std::max<std::int64_t>(1, bound(CUDNN_ATTR_KNOB_INFO_STRIDE))});
  }
  return ranges;
}

void read_notes(EngineConfig& config) {
  for (auto note : config.engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                     CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
    config.exact = config.exact && std::find(kForbidden.begin(), kForbidden.end(), note) == kForbidden.end();
  }
  for (auto note : config.engine.values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                    CUDNN_BEHAVIOR_NOTE_TYPE_COUNT)) {
    config.native_graphs = config.native_graphs || note == CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API;
    // The old interleaved layouts: nobody reorders filters here.
    config.exact = config.exact && note != CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER &&
                   note != CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER;
  }
}

/// `config` holds a finalized configuration.
EngineConfig describe(const Cudnn& api, Descriptor config) {
  std::vector<Descriptor> engine = descriptors(api, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine", 1);
  config.fill(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  EngineChoice choice{engine[0].values<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1).at(0), {}};
  for (const Descriptor& knob :
       filled(api, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "a knob's value")) {
    choice.knobs.push_back(
        {static_cast<int>(knob.values<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, 1).at(0)),
         knob.values<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 1).at(0)});
  }
  std::sort(choice.knobs.begin(), choice.knobs.end());
  EngineConfig described{std::move(choice), std::move(engine[0]), std::move(config), {}};
  read_notes(described);
  return described;
}

/// A configuration, and the descriptors that it refers to.
struct KnobbedConfig {
  Descriptor config;
  std::vector<Descriptor> knobs;
};

/// `knobs` of an engine; nothing if cuDNN does not take them.
std::optional<KnobbedConfig> config_of(const Cudnn& api, const Descriptor& engine, const std::vector<Knob>& knobs) {
  KnobbedConfig made{{api, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine"},
                     descriptors(api, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "a knob's value", knobs.size())};
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::size_t i = 0; i < knobs.size(); ++i) {
    made.knobs[i]
        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, static_cast<cudnnBackendKnobType_t>(knobs[i].type))
        .set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, knobs[i].value);
    if (made.knobs[i].try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
    raw.push_back(made.knobs[i].get());
  }
  made.config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  if (!raw.empty()) made.config.set_descriptors(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, raw);
  if (made.config.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  return made;
}

/// `knobs` with one knob at a time at each of its other values. A knob that the heuristics do not name stands at its
/// least value, which for splits of the sum means none.
std::vector<EngineChoice> with_other_knobs(const Cudnn& api, const EngineConfig& offer) {
  std::vector<EngineChoice> variants;
  for (const KnobRange& range : knob_ranges(api, offer.engine)) {
    std::vector<Knob> knobs = offer.choice.knobs;
    auto knob = std::find_if(knobs.begin(), knobs.end(), [&](const Knob& k) { return k.type == range.type; });
    if (knob == knobs.end()) {
      knob = knobs.insert(std::upper_bound(knobs.begin(), knobs.end(), Knob{range.type, 0}), {range.type, range.low});
    }
    const std::int64_t own = knob->value;
    for (knob->value = range.low; knob->value <= range.high; knob->value += range.stride) {
      if (knob->value != own && config_of(api, offer.engine, knobs)) variants.push_back({offer.choice.engine, knobs});
    }
  }
  return variants;
}

}  // namespace

std::string choice_text(const EngineChoice& choice) {
  std::string text = fmt::format("engine {}", choice.engine);
  for (const Knob& knob : choice.knobs) text += fmt::format(", knob {} at {}", knob.type, knob.value);
  return text;
}

std::vector<EngineConfig> heuristic_configs(const Cudnn& api, const PlanTarget& target, const ConvGraph& graph,
                                            cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "the heuristics");
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  target.give_to_heuristics(heuristics);
  if (heuristics.try_finalize() != CUDNN_STATUS_SUCCESS) return {};
  std::vector<EngineConfig> all;
  for (Descriptor& config :
       filled(api, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine")) {
    all.push_back(describe(api, std::move(config)));
  }
  return all;
}

std::optional<EngineConfig> make_config(const Cudnn& api, const PlanTarget& target, const ConvGraph& graph,
                                        const EngineChoice& choice) {
  Descriptor engine(api, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine");
  try {  // of an index beyond the last, cuDNN complains at once
    engine.set(CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph.graph).set(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, choice.engine);
    target.give_to_engine(engine);
  } catch (const Error&) {
    return std::nullopt;
  }
  if (engine.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  std::optional<KnobbedConfig> config = config_of(api, engine, choice.knobs);
  if (!config) return std::nullopt;
  EngineConfig made{choice, std::move(engine), std::move(config->config), std::move(config->knobs)};
  read_notes(made);
  return made;
}

std::vector<EngineChoice> engine_choices(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                         ConvForm form) {
  std::vector<EngineChoice> all;
  if (!graph_refusal(task, form).empty()) return all;
  const ConvGraph graph = make_conv_graph(api, target, task, form);
  const std::vector<EngineConfig> offers = heuristic_configs(api, target, graph, CUDNN_HEUR_MODE_A);
  for (const EngineConfig& offer : offers) {
    if (offer.exact) all.push_back(offer.choice);
  }
  std::set<EngineChoice> seen(all.begin(), all.end());
  std::set<std::int64_t> varied;
  for (const EngineConfig& offer : offers) {
    if (!offer.exact || !varied.insert(offer.choice.engine).second) continue;
    for (EngineChoice& variant : with_other_knobs(api, offer)) {
      if (seen.insert(variant).second) all.push_back(std::move(variant));
    }
  }
  return all;
}

}  // namespace qnudge::cuda
