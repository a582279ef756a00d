// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>

#include "qnudge/report/run_files.hpp"
#include "qnudge/report/sweep_results.hpp"

namespace qnudge {

/// report.html of one run: a function of the files in its folder, and so the same bytes for the same run but for times.
std::string run_page(const RunFiles& run, std::string_view library);

/// report.html of a sweep. Reads the histories of its runs, the first kMostCurves of them.
inline constexpr std::size_t kMostCurves = 48;
std::string sweep_page(const SweepResults& sweep, std::string_view library);

}  // namespace qnudge
