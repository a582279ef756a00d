// SPDX-License-Identifier: MIT
#include "conv_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
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

/// One configuration that the heuristics offer.
struct Offer {
  Descriptor config;
  std::int64_t engine = 0;
  bool exact = true, native_graphs = false;
  std::string knobs;  ///< what was set otherwise than the heuristics did

  std::string text() const {
    return fmt::format("engine {}{}{}", engine, knobs, native_graphs ? ", native graphs" : "");
  }
};

Offer describe(const Cudnn& api, Descriptor config) {
  Offer offer{std::move(config)};
  std::vector<Descriptor> engine;
  engine.emplace_back(api, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine");
  offer.config.fill(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  offer.engine = engine[0].values<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1).at(0);
  for (auto note : engine[0].values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                 CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
    offer.exact = offer.exact && std::find(kForbidden.begin(), kForbidden.end(), note) == kForbidden.end();
  }
  for (auto note :
       engine[0].values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT)) {
    offer.native_graphs = offer.native_graphs || note == CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API;
    // The old interleaved layouts: nobody reorders filters here.
    offer.exact = offer.exact && note != CUDNN_BEHAVIOR_NOTE_REQUIRES_FILTER_INT8x32_REORDER &&
                  note != CUDNN_BEHAVIOR_NOTE_REQUIRES_BIAS_INT8x32_REORDER;
  }
  return offer;
}

/// What one mode of the heuristics offers, best first; nothing if it knows no engine.
std::vector<Offer> offers(const Cudnn& api, const PlanTarget& target, const ConvGraph& graph,
                          cudnnBackendHeurMode_t mode) {
  constexpr std::size_t kMost = 16;
  Descriptor heuristics(api, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "the heuristics");
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph.graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  target.give_to_heuristics(heuristics);
  if (heuristics.try_finalize() != CUDNN_STATUS_SUCCESS) return {};
  std::vector<Descriptor> configs;
  for (std::size_t i = 0; i < kMost; ++i) configs.emplace_back(api, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine");
  const std::int64_t count = heuristics.fill(CUDNN_ATTR_ENGINEHEUR_RESULTS, configs);
  std::vector<Offer> all;
  for (std::size_t i = 0; i < std::min(kMost, static_cast<std::size_t>(count)); ++i) {
    all.push_back(describe(api, std::move(configs[i])));
  }
  return all;
}

/// The offer's engine with one knob at a time at each of its other values, as far as cuDNN lets itself be asked.
std::vector<Offer> with_other_knobs(const Cudnn& api, const Offer& offer) {
  constexpr std::size_t kMostKnobs = 16;
  constexpr std::int64_t kMostValues = 8;
  std::vector<Descriptor> engine;
  engine.emplace_back(api, CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine");
  offer.config.fill(CUDNN_ATTR_ENGINECFG_ENGINE, engine);
  std::vector<Descriptor> infos;
  for (std::size_t i = 0; i < kMostKnobs; ++i) infos.emplace_back(api, CUDNN_BACKEND_KNOB_INFO_DESCRIPTOR, "a knob");
  const std::int64_t count = engine[0].fill(CUDNN_ATTR_ENGINE_KNOB_INFO, infos);
  std::vector<Offer> variants;
  for (std::size_t i = 0; i < std::min(kMostKnobs, static_cast<std::size_t>(count)); ++i) {
    const auto type = infos[i].values<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_INFO_TYPE, 1).at(0);
    const auto bound = [&](cudnnBackendAttributeName_t name) { return infos[i].values<std::int64_t>(name, 1).at(0); };
    const std::int64_t low = bound(CUDNN_ATTR_KNOB_INFO_MINIMUM_VALUE);
    const std::int64_t high = bound(CUDNN_ATTR_KNOB_INFO_MAXIMUM_VALUE);
    const std::int64_t stride = std::max<std::int64_t>(1, bound(CUDNN_ATTR_KNOB_INFO_STRIDE));
    for (std::int64_t value = low; value <= std::min(high, low + (kMostValues - 1) * stride); value += stride) {
      Descriptor choice(api, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "a knob's value");
      choice.set(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, type).set(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, value).finalize();
      Descriptor config(api, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine");
      config.set(CUDNN_ATTR_ENGINECFG_ENGINE, engine[0]).set(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, choice);
      if (config.try_finalize() != CUDNN_STATUS_SUCCESS) continue;
      Offer variant{std::move(config), offer.engine, offer.exact, offer.native_graphs, {}};
      variant.knobs = fmt::format(", knob {} at {}", static_cast<int>(type), value);
      variants.push_back(std::move(variant));
    }
  }
  return variants;
}

/// The heuristics' own choices that are exact, then each engine's variants.
std::vector<Offer> exact_offers(const Cudnn& api, const PlanTarget& target, const ConvGraph& graph) {
  std::vector<Offer> all, variants;
  std::set<std::int64_t> varied;
  for (Offer& offer : offers(api, target, graph, CUDNN_HEUR_MODE_A)) {
    if (!offer.exact) continue;
    if (varied.insert(offer.engine).second) {
      for (Offer& variant : with_other_knobs(api, offer)) variants.push_back(std::move(variant));
    }
    all.push_back(std::move(offer));
  }
  std::move(variants.begin(), variants.end(), std::back_inserter(all));
  return all;
}

/// Compiles `offer`; nothing but loading is left where the device is only described.
cudnnStatus_t compile(const PlanTarget& target, const Offer& offer, Descriptor& plan) {
  target.give_to_plan(plan);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, offer.config);
  return plan.try_finalize();
}

const void* pointer_to(Port port, const ConvPointers& at) {
  switch (port) {
    case Port::x:
      return at.x;
    case Port::w:
      return at.w;
    case Port::bias:
      return at.bias;
    case Port::multiplier:
      return at.multiplier;
    case Port::residual:
      return at.residual;
    case Port::y:
      return at.y;
  }
  fail(ErrorKind::internal, "a convolution has no tensor {}", static_cast<int>(port));
}

}  // namespace

ConvPlan::ConvPlan(const Cudnn& api, ConvGraph graph, Descriptor plan, std::string description, bool native_graphs)
    : api_(api),
      graph_(std::move(graph)),
      plan_(std::move(plan)),
      description_(std::move(description)),
      native_graphs_(native_graphs),
      workspace_bytes_(
          static_cast<std::size_t>(plan_.values<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1).at(0))) {}

std::string ConvPlan::json() const {
  try {
    const std::vector<char> text = plan_.all_values<char>(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    std::string json(text.begin(), text.end());
    json.erase(json.find_last_not_of('\0') + 1);
    return json;
  } catch (const Error&) {
    return {};
  }
}

void ConvPlan::execute(cudnnHandle_t handle, const ConvPointers& at) const {
  std::vector<std::int64_t> ids;
  std::vector<void*> data;
  const auto bind = [&](std::int64_t id, const void* p) {
    ids.push_back(id);
    data.push_back(const_cast<void*>(p));
  };
  for (const GraphTensor& t : graph_.tensors) {
    const void* const p = pointer_to(t.port, at);
    // Engines read whole vectors: what is less aligned than promised gives wrong bytes, or stops the device.
    require(p != nullptr && reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(t.alignment) == 0,
            ErrorKind::internal, "tensor {} of a convolution lies at {}, which is not aligned to {} bytes",
            static_cast<int>(t.port), p, t.alignment);
    bind(static_cast<std::int64_t>(t.port), p);
  }
  for (const GraphScalar& s : graph_.scalars) bind(s.uid, &s.value);
  Descriptor pack(api_, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "the operands of a convolution");
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
      .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, data)
      .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, at.workspace)
      .finalize();
  check_cudnn(api_, api_.execute(handle, plan_.get(), pack.get()), "to run a convolution");
}

std::vector<ConvForm> forms_of(const ConvTask& task, int code_bits) {
  if (task.geometry.spread_h != 1 || task.geometry.spread_w != 1) return {ConvForm::phases};
  std::vector<ConvForm> forms{ConvForm::whole};
  if (task.role == ConvRole::wide) forms.push_back(ConvForm::sliced);
  if (task.half || !half_is_exact(task, code_bits)) return forms;
  std::vector<ConvForm> all = forms;
  for (const ConvForm& form : forms) all.push_back(form.in_half());
  return all;
}

PlanOutcome plan_conv(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form) {
  PlanOutcome outcome;
  outcome.reason = graph_refusal(task, form);
  if (!outcome.reason.empty()) return outcome;
  ConvGraph graph = make_conv_graph(api, target, task, form);
  outcome.reason = "no engine of cuDNN takes this graph";
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    for (const Offer& offer : offers(api, target, graph, mode)) {
      ++outcome.offered;
      if (!offer.exact) {
        ++outcome.forbidden;
        continue;
      }
      Descriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a plan");
      const cudnnStatus_t status = compile(target, offer, plan);
      const bool unloaded = !target.present() && status == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER;
      if (status != CUDNN_STATUS_SUCCESS && !unloaded) {
        outcome.reason = fmt::format("engine {} fails: {}", offer.engine, api.get_error_string(status));
        continue;
      }
      outcome.accepted = true;
      outcome.reason.clear();
      outcome.engine = offer.text();
      if (target.present()) {
        outcome.plan =
            std::make_shared<ConvPlan>(api, std::move(graph), std::move(plan), outcome.engine, offer.native_graphs);
      }
      return outcome;
    }
  }
  return outcome;
}

std::vector<std::string> engine_choices(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                        ConvForm form) {
  std::vector<std::string> texts;
  if (!graph_refusal(task, form).empty()) return texts;
  const ConvGraph graph = make_conv_graph(api, target, task, form);
  for (const Offer& offer : exact_offers(api, target, graph)) texts.push_back(offer.text());
  return texts;
}

std::vector<std::shared_ptr<const ConvPlan>> all_plans(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                                       ConvForm form, std::size_t most) {
  std::vector<std::shared_ptr<const ConvPlan>> plans;
  if (!target.present() || !graph_refusal(task, form).empty()) return plans;
  const ConvGraph asked = make_conv_graph(api, target, task, form);
  for (const Offer& offer : exact_offers(api, target, asked)) {
    if (plans.size() >= most) break;
    Descriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a plan");
    if (compile(target, offer, plan) != CUDNN_STATUS_SUCCESS) continue;
    plans.push_back(std::make_shared<ConvPlan>(api, make_conv_graph(api, target, task, form), std::move(plan),
                                               offer.text(), offer.native_graphs));
  }
  return plans;
}

std::shared_ptr<const ConvPlan> plan_from_json(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                               ConvForm form, const std::string& json) {
  if (!target.present() || !graph_refusal(task, form).empty()) return nullptr;
  ConvGraph graph = make_conv_graph(api, target, task, form);
  Descriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a stored plan");
  try {
    target.give_to_plan(plan);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, std::vector<char>(json.begin(), json.end()));
    if (plan.try_finalize() != CUDNN_STATUS_SUCCESS) return nullptr;
    return std::make_shared<ConvPlan>(api, std::move(graph), std::move(plan), "stored plan", true);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace qnudge::cuda
