// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/cli/command.hpp"

namespace qnudge {

/// `bench quality`: nearest, bias, descent, paper, channel, gram and best on one model, at given bit widths and seeds.
/// The config's own search keys do not count, those given by --set do. Runs live in folders below --out; an interrupted
/// bench goes on with --resume.
Action add_quality_bench(CLI::App& app);

}  // namespace qnudge
