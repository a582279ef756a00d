// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine_choice.hpp"

namespace qnudge::cuda {

/// An engine chosen and compiled for one graph.
class ConvPlan {
 public:
  ConvPlan(const Cudnn& api, ConvGraph graph, Descriptor plan, std::string description);

  std::size_t workspace_bytes() const { return workspace_bytes_; }
  const std::string& description() const { return description_; }
  /// What rebuilds the plan without a search; empty where cuDNN cannot tell.
  std::string json() const;

  /// Enqueues one execution on the handle's stream.
  void execute(cudnnHandle_t handle, const ConvPointers& at) const;

 private:
  const Cudnn& api_;
  ConvGraph graph_;
  Descriptor plan_;
  std::string description_;
  std::size_t workspace_bytes_ = 0;
};

/// Forms in which a task may be planned for weights of `code_bits`, best first: the ladder, whose last rung is the
/// plain kernel.
std::vector<ConvForm> forms_of(const ConvTask& task, int code_bits);

/// What came of planning one task in one form.
struct PlanOutcome {
  std::shared_ptr<const ConvPlan> plan;  ///< nullptr: none, or the device is only described
  bool accepted = false;                 ///< an engine takes the graph, and was compiled
  std::string reason;                    ///< why not
  int offered = 0;                       ///< engine configurations that the heuristics named
  int forbidden = 0;                     ///< of these, not exact or not deterministic
  std::string engine;                    ///< the one chosen
};

/// Asks the heuristics, leaves out engines that are not deterministic or compute otherwise than in exact sums
/// (Winograd, FFT, reduced precision, converted inputs), and takes the first that cuDNN can compile. On a device that
/// is only described, an engine counts as accepted when nothing but loading its code is left.
PlanOutcome plan_conv(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form);

/// The same for one engine and its knobs, e.g. one of `engine_choices`: refused where it is not for this graph, not
/// exact, or does not compile. May be called from several threads, each with a target of its own.
PlanOutcome plan_choice(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form,
                        const EngineChoice& choice);

/// The plan that `json` describes, for the same graph; nothing if cuDNN does not take it any more. `engine` says what
/// the plan was made from.
std::shared_ptr<const ConvPlan> plan_from_json(const Cudnn& api, const PlanTarget& target, const ConvTask& task,
                                               ConvForm form, const std::string& json, const std::string& engine);

}  // namespace qnudge::cuda
