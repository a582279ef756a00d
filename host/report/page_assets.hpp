// SPDX-License-Identifier: MIT
#pragma once

#include <string_view>

namespace qnudge {

/// Written into the program by host/report/embed.cmake.
extern const std::string_view kChartLibrary;  ///< Chart.js, minified; empty if it was not found
extern const std::string_view kChartLicence;
extern const std::string_view kPageScript;  ///< page.js
extern const std::string_view kPageStyle;   ///< page.css

}  // namespace qnudge
