// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "qnudge/backend/backend.hpp"
#include "qnudge/quant/reference.hpp"

namespace qnudge {

/// What a run calls good, by right answers or by reconstruction errors, whichever an evaluation holds.

/// Sum of reconstruction errors.
std::int64_t total_error(std::span<const std::int64_t> errors);

/// The gate: not fewer right answers and no larger KL, or no larger error.
bool not_worse(const Evaluation& after, const Evaluation& before);
/// Both in numbers, for a note; `count` samples.
std::string gate_verdict(const Evaluation& after, const Evaluation& before, std::int64_t count);

/// How much worse than the float model: accuracy lost, or the error's relative growth.
double drop_against(const Reference::Set& reference, const Evaluation& found, std::int64_t count);
/// "would lose 1.25 points against the float model", or "would raise the float model's error by 12.50 %".
std::string drop_text(const Evaluation& found, double drop);

}  // namespace qnudge
