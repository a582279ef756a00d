// SPDX-License-Identifier: MIT
#include "conv_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

/// Compiles `config` for `graph`, which goes into the plan; nothing but loading is left where the device is only
/// described. Enters what came of it into `outcome`; false if the engine fails.
bool compile(const Cudnn& api, const PlanTarget& target, const EngineConfig& config, ConvGraph& graph,
             PlanOutcome& outcome) {
  Descriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a plan");
  target.give_to_plan(plan);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config.config);
  const cudnnStatus_t status = plan.try_finalize();
  const bool unloaded = !target.present() && status == CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER;
  outcome.accepted = status == CUDNN_STATUS_SUCCESS || unloaded;
  if (!outcome.accepted) {
    outcome.reason = fmt::format("{} fails: {}", choice_text(config.choice), api.get_error_string(status));
    return false;
  }
  outcome.reason.clear();
  outcome.engine = choice_text(config.choice) + (config.native_graphs ? ", native graphs" : "");
  if (target.present()) {
    outcome.plan = std::make_shared<ConvPlan>(api, std::move(graph), std::move(plan), outcome.engine);
  }
  return true;
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

ConvPlan::ConvPlan(const Cudnn& api, ConvGraph graph, Descriptor plan, std::string description)
    : api_(api),
      graph_(std::move(graph)),
      plan_(std::move(plan)),
      description_(std::move(description)),
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
    for (const EngineConfig& config : heuristic_configs(api, target, graph, mode)) {
      ++outcome.offered;
      if (!config.exact) {
        ++outcome.forbidden;
      } else if (compile(api, target, config, graph, outcome)) {
        return outcome;
      }
    }
  }
  return outcome;
}

PlanOutcome plan_choice(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form,
                        const EngineChoice& choice) {
  PlanOutcome outcome;
  outcome.reason = graph_refusal(task, form);
  if (!outcome.reason.empty()) return outcome;
  ConvGraph graph = make_conv_graph(api, target, task, form);
  const std::optional<EngineConfig> config = make_config(api, target, graph, choice);
  if (!config || !config->exact) {
    outcome.reason = fmt::format("{} is not for this graph", choice_text(choice));
    return outcome;
  }
  compile(api, target, *config, graph, outcome);
  return outcome;
}

std::shared_ptr<const ConvPlan> plan_from_json(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                               ConvForm form, const std::string& json, const std::string& engine) {
  if (!target.present() || !graph_refusal(task, form).empty()) return nullptr;
  ConvGraph graph = make_conv_graph(api, target, task, form);
  Descriptor plan(api, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "a stored plan");
  try {
    target.give_to_plan(plan);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, std::vector<char>(json.begin(), json.end()));
    if (plan.try_finalize() != CUDNN_STATUS_SUCCESS) return nullptr;
    return std::make_shared<ConvPlan>(api, std::move(graph), std::move(plan), engine);
  } catch (const Error&) {
    return nullptr;
  }
}

}  // namespace qnudge::cuda
