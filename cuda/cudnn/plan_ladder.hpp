// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conv_plan.hpp"
#include "engine_hints.hpp"
#include "plan_store.hpp"

namespace qnudge::cuda {

/// What came of looking for a plan.
struct FoundPlan {
  std::shared_ptr<const ConvPlan> plan;  ///< nullptr: none
  ConvForm form;
  bool addition_apart = false;           ///< the plan is for the task without its addition
  std::string key;                       ///< to store the plan under; empty: it comes from there
  std::vector<std::string> stale;        ///< keys of stored plans that cuDNN does not take any more
  std::vector<std::string> passed_over;  ///< hints that did not serve, and why
  std::string refusals;                  ///< of the forms that were tried in vain

  /// Goes on with what came of a further try, with all that this had to say.
  void append(FoundPlan further);
  StoredPlan stored() const { return {plan->json(), plan->description(), addition_apart}; }
};

/// `task` without the addition behind it.
ConvTask without_addition(const ConvTask& task);

/// Finds plans for tasks: form by form from the store, by hints, by the heuristics of cuDNN. Changes nothing, so that
/// several threads may ask, each with a target of its own.
class PlanLadder {
 public:
  /// `architecture`: compute capability times 10. All must outlive this.
  PlanLadder(const Cudnn& api, int architecture, const PlanStore& store, const EngineHints& hints)
      : api_(api), architecture_(architecture), store_(store), hints_(hints) {}

  /// In the first form that serves.
  FoundPlan find(const PlanTarget& target, const ConvTask& task, int code_bits) const;
  FoundPlan find(const PlanTarget& target, const ConvTask& task, const ConvForm& form) const;

  /// The plan that tuning has stored for this form, if there is one; its key in any case.
  FoundPlan tuned(const PlanTarget& target, const ConvTask& task, const ConvForm& form) const;
  /// What tuning has to choose from, each once, likely ones first: the choice of the heuristics, hints, then all other
  /// choices; behind the first `most` of them, where an addition is to be fused, a quarter as many with the addition
  /// apart.
  std::vector<EngineHint> rivals(const PlanTarget& target, const ConvTask& task, const ConvForm& form,
                                 std::size_t most) const;
  /// One of them.
  PlanOutcome make(const PlanTarget& target, const ConvTask& task, const ConvForm& form, const EngineHint& rival) const;

 private:
  std::vector<EngineHint> hints(const ConvTask& task, const ConvForm& form) const;
  std::vector<EngineHint> choices(const PlanTarget& target, const ConvTask& task, const ConvForm& form,
                                  bool apart) const;
  /// Enters the plan stored under `key` into `found`; false if there is none that serves.
  bool stored(const PlanTarget& target, const ConvTask& task, const std::string& key, FoundPlan& found) const;

  const Cudnn& api_;
  const int architecture_;
  const PlanStore& store_;
  const EngineHints& hints_;
};

}  // namespace qnudge::cuda
