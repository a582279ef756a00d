// SPDX-License-Identifier: MIT
#pragma once

#include <ostream>

namespace qnudge {

/// The command line: results to `out`, everything else to `err`. Returns the exit code: 0 done, 1 a check differs or an
/// internal error, 2 usage, 3 model and data, 4 device, 5 interrupted. Throws nothing.
int run_cli(int argc, const char* const* argv, std::ostream& out, std::ostream& err) noexcept;

}  // namespace qnudge
