// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <span>

#include "conv_trial.hpp"
#include "qnudge/cpu/conv_kernel.hpp"

namespace qnudge {
namespace {

using Factory = std::unique_ptr<ConvKernel> (*)(const ConvProblem&, ConvMode, std::span<const float>);

/// A kernel kind and the first trial that it got wrong.
struct Suspect {
  const char* name;
  Factory make;
  std::string failure;
};

void judge(Suspect& suspect, const ConvTrial& trial, ConvMode mode, const std::vector<std::byte>& expected) {
  if (!suspect.failure.empty()) return;
  const auto kernel = suspect.make(trial.problem, mode, trial.multipliers);
  if (!kernel) return;
  if (run_trial(*kernel, trial, mode) != expected) {
    suspect.failure =
        fmt::format("{} kernel ({}) differs from plain integer arithmetic on {} with {} inputs", suspect.name,
                    kernel->description(), trial.name, trial.problem.input_signed ? "signed" : "unsigned");
  }
}

struct SelfTest {
  Suspect onednn{"oneDNN", make_onednn_kernel, {}}, own{"built-in", make_own_kernel, {}};

  SelfTest() {
    std::size_t turn = 0;  // every shape with both kinds of input; the outputs take turns
    for (ConvTrial& trial : trial_shapes()) {
      for (const bool input_signed : {true, false}) {
        fill_trial(trial, input_signed, -128, 127, turn);
        const ConvMode mode = set_output(trial.problem, kTrialOutputs[turn++ % std::size(kTrialOutputs)]);
        const auto plain = make_plain_kernel(trial.problem, mode, trial.multipliers);
        const auto expected = run_trial(*plain, trial, mode);
        judge(onednn, trial, mode, expected);
        judge(own, trial, mode, expected);
      }
    }
  }
};

/// The self-test's verdict for this process; the first caller pays for it.
const SelfTest& verdict() {
  static const SelfTest result = [] {
    SelfTest test;
    for (const Suspect& suspect : {test.onednn, test.own}) {
      if (!suspect.failure.empty()) spdlog::warn("{}; it is not used here", suspect.failure);
    }
    return test;
  }();
  return result;
}

}  // namespace

std::vector<std::string> conv_self_test() {
  const SelfTest test;
  std::vector<std::string> failures;
  for (const Suspect& suspect : {test.onednn, test.own}) {
    if (!suspect.failure.empty()) failures.push_back(suspect.failure);
  }
  return failures;
}

std::unique_ptr<ConvKernel> make_best_kernel(const ConvProblem& problem, ConvMode mode,
                                             std::span<const float> multipliers) {
  const SelfTest& test = verdict();
  if (test.onednn.failure.empty()) {
    if (auto kernel = make_onednn_kernel(problem, mode, multipliers)) return kernel;
  }
  return test.own.failure.empty() ? make_own_kernel(problem, mode, multipliers)
                                  : make_plain_kernel(problem, mode, multipliers);
}

}  // namespace qnudge
