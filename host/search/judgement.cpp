// SPDX-License-Identifier: MIT
#include "judgement.hpp"

#include <fmt/format.h>

#include <numeric>

namespace qnudge {

std::int64_t total_error(std::span<const std::int64_t> errors) {
  return std::accumulate(errors.begin(), errors.end(), std::int64_t{0});
}

bool not_worse(const Evaluation& after, const Evaluation& before) {
  if (!after.errors.empty()) return total_error(after.errors) <= total_error(before.errors);
  return after.correct >= before.correct && after.kl <= before.kl;
}

std::string gate_verdict(const Evaluation& after, const Evaluation& before, std::int64_t count) {
  if (!after.errors.empty()) {
    const double growth =
        static_cast<double>(total_error(after.errors)) / static_cast<double>(total_error(before.errors));
    return fmt::format("on its {} windows the search's result has {:.4f} times the start's reconstruction error", count,
                       growth);
  }
  const auto nats = [&](std::int64_t kl) { return static_cast<double>(kl) / static_cast<double>(count * kQ16One); };
  return fmt::format(
      "on its {} images the search's result scores {} correct and a KL of {:.4f}, the start {} and {:.4f}", count,
      after.correct, nats(after.kl), before.correct, nats(before.kl));
}

double drop_against(const Reference::Set& reference, const Evaluation& found, std::int64_t count) {
  if (found.errors.empty()) return static_cast<double>(reference.correct - found.correct) / static_cast<double>(count);
  const auto expected = static_cast<double>(std::max<std::int64_t>(total_error(reference.errors), 1));
  return (static_cast<double>(total_error(found.errors)) - expected) / expected;
}

std::string drop_text(const Evaluation& found, double drop) {
  return found.errors.empty() ? fmt::format("would lose {:.2f} points against the float model", 100 * drop)
                              : fmt::format("would raise the float model's error by {:.2f} %", 100 * drop);
}

}  // namespace qnudge
