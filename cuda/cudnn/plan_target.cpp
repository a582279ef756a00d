// SPDX-License-Identifier: MIT
#include "plan_target.hpp"

namespace qnudge::cuda {

PlanTarget::PlanTarget(const Cudnn& api) {
  check_cudnn(api, api.create(&handle_), "a handle");
  own_ = {handle_, api.destroy};
}

PlanTarget::PlanTarget(const Cudnn& api, const std::string& json) {
  description_.emplace(api, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "a description of a device");
  description_->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::vector<char>(json.begin(), json.end())).finalize();
}

void PlanTarget::give_to_graph(Descriptor& graph) const {
  if (present()) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_);
}

void PlanTarget::give_to_heuristics(Descriptor& heuristics) const {
  if (!present()) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *description_);
}

void PlanTarget::give_to_engine(Descriptor& engine) const {
  if (!present()) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *description_);
}

void PlanTarget::give_to_plan(Descriptor& plan) const {
  if (present()) {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_);
  } else {
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *description_);
  }
}

}  // namespace qnudge::cuda
