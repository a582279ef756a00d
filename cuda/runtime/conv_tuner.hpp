// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "device_conv.hpp"

namespace qnudge::cuda {

/// Which of `rivals`, all made for `task`, runs fastest on random operands and gives the plain kernel's bytes; a rival
/// that does not is named in a warning. Waits for the device. Nothing if no rival qualifies, or if operands and
/// workspaces do not fit the device beside what it holds.
std::optional<std::size_t> fastest_conv(const ConvTask& task,
                                        std::span<const std::shared_ptr<const DeviceConv>> rivals);

}  // namespace qnudge::cuda
