// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <vector>

#include "qnudge/core/half.hpp"
#include "qnudge/model/scalar_function.hpp"

namespace qnudge {

/// table[code + 128] = the code nearest to f(code * 2^in_exponent) / 2^out_exponent, ties to even, within [low, high].
/// Evaluated by MPFR to far more digits than a code needs and rounded once, so that every machine makes the same table.
/// Where f is not a number (the root of a negative code) the entry is that of zero, within the bounds.
std::vector<std::int8_t> code_table(const ScalarFunction& f, int in_exponent, int out_exponent, int low = -128,
                                    int high = 127);

/// The same for halves: [65536] by the bits of the input, in units of 2^in_exponent and 2^out_exponent. Infinities and
/// NaN, which do not occur, give what their bits as a larger exponent would.
std::vector<Half> half_table(const ScalarFunction& f, int in_exponent, int out_exponent);

/// [256]: exp(-d * 2^exponent) in units of 2^-30 for d = 0 ... 255, each rounded once, half to even.
std::vector<std::int32_t> exponential_table(int exponent);

/// Whether fp32 evaluation of f step by step, each within a few units in the last place as runtimes evaluate them, must
/// come to `table` for all 256 inputs: by interval arithmetic.
bool float_steps_give(const std::vector<std::int8_t>& table, const ScalarFunction& f, int in_exponent, int out_exponent,
                      int low = -128, int high = 127);

}  // namespace qnudge
