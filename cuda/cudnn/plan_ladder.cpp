// SPDX-License-Identifier: MIT
#include "plan_ladder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

/// What `ask` returns; where cuDNN refuses a part of the graph, otherwise(why).
template <class F, class G>
auto attempt(const F& ask, const G& otherwise) {
  try {
    return ask();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::device) throw;
    return otherwise(e.what());
  }
}

PlanOutcome refused(const std::string& why) {
  PlanOutcome outcome;
  outcome.reason = why;
  return outcome;
}

std::string key_of(const ConvTask& task, const ConvForm& form) {
  return fmt::format("{} {}", task_text(task), form_text(form));
}

}  // namespace

void FoundPlan::append(FoundPlan further) {
  further.stale.insert(further.stale.begin(), stale.begin(), stale.end());
  further.passed_over.insert(further.passed_over.begin(), passed_over.begin(), passed_over.end());
  if (!refusals.empty() && !further.refusals.empty()) refusals += "; ";
  further.refusals = refusals + further.refusals;
  *this = std::move(further);
}

ConvTask without_addition(const ConvTask& task) {
  ConvTask bare = task;
  bare.epilogue.addition.reset();
  return bare;
}

FoundPlan PlanLadder::find(const PlanTarget& target, const ConvTask& task, int code_bits) const {
  FoundPlan all;
  for (const ConvForm& form : forms_of(task, code_bits)) {
    all.append(find(target, task, form));
    if (all.plan) break;
  }
  return all;
}

FoundPlan PlanLadder::find(const PlanTarget& target, const ConvTask& task, const ConvForm& form) const {
  FoundPlan found;
  found.form = form;
  const std::vector<EngineHint> hinted = hints(task, form);
  // Plans of other hints, or of none, are not what is asked for.
  found.key = key_of(task, form) + (hinted.empty() ? "" : " by hint: " + hint_text(hinted.front()));
  if (stored(target, task, found.key, found)) return found;
  for (const EngineHint& hint : hinted) {
    PlanOutcome outcome = make(target, task, form, hint);
    if (outcome.plan) {
      found.plan = std::move(outcome.plan);
      found.addition_apart = hint.addition_apart;
      return found;
    }
    found.passed_over.push_back(outcome.reason);
  }
  PlanOutcome outcome = attempt([&] { return plan_conv(api_, target, task, form); }, refused);
  found.plan = std::move(outcome.plan);
  found.refusals = outcome.reason;
  return found;
}

FoundPlan PlanLadder::tuned(const PlanTarget& target, const ConvTask& task, const ConvForm& form) const {
  FoundPlan found;
  found.form = form;
  found.key = key_of(task, form) + " tuned";
  stored(target, task, found.key, found);
  return found;
}

bool PlanLadder::stored(const PlanTarget& target, const ConvTask& task, const std::string& key,
                        FoundPlan& found) const {
  const std::optional<StoredPlan> entry = store_.find(key);
  if (!entry) return false;
  found.plan = plan_from_json(api_, target, entry->addition_apart ? without_addition(task) : task, found.form,
                              entry->json, entry->engine);
  if (!found.plan) {
    found.stale.push_back(key);
    return false;
  }
  found.addition_apart = entry->addition_apart;
  found.key.clear();
  return true;
}

/// Halves are not hinted: engines round their sums differently, and a table must not change a result.
std::vector<EngineHint> PlanLadder::hints(const ConvTask& task, const ConvForm& form) const {
  if (form != ConvForm::whole || task.half) return {};
  return hints_.find(hint_key(api_.version(), architecture_, task));
}

PlanOutcome PlanLadder::make(const PlanTarget& target, const ConvTask& task, const ConvForm& form,
                             const EngineHint& rival) const {
  return attempt(
      [&] {
        return plan_choice(api_, target, rival.addition_apart ? without_addition(task) : task, form, rival.choice);
      },
      refused);
}

std::vector<EngineHint> PlanLadder::choices(const PlanTarget& target, const ConvTask& task, const ConvForm& form,
                                            bool apart) const {
  const ConvTask asked = apart ? without_addition(task) : task;
  std::vector<EngineHint> all;
  std::set<EngineHint> seen;
  const auto add = [&](const EngineHint& hint) {
    if (hint.addition_apart == apart && seen.insert(hint).second) all.push_back(hint);
  };
  const std::vector<EngineChoice> known = attempt([&] { return engine_choices(api_, target, asked, form); },
                                                  [](const std::string&) { return std::vector<EngineChoice>(); });
  if (known.empty()) return all;
  add({known.front(), apart});
  for (const EngineHint& hint : hints(task, form)) add(hint);
  for (const EngineHint& hint : hints(asked, form)) add({hint.choice, apart});
  for (const EngineChoice& choice : known) add({choice, apart});
  return all;
}

std::vector<EngineHint> PlanLadder::rivals(const PlanTarget& target, const ConvTask& task, const ConvForm& form,
                                           std::size_t most) const {
  std::vector<EngineHint> all = choices(target, task, form, false);
  all.resize(std::min(all.size(), most));
  if (!task.epilogue.addition) return all;
  std::vector<EngineHint> apart = choices(target, task, form, true);
  apart.resize(std::min(apart.size(), std::max<std::size_t>(1, most / 4)));
  all.insert(all.end(), apart.begin(), apart.end());
  return all;
}

}  // namespace qnudge::cuda
