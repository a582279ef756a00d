// SPDX-License-Identifier: MIT
#pragma once

namespace qnudge {

/// Version of qnudge; a test holds it equal to the build's project version.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace qnudge
