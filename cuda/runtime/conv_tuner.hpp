// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "device_conv.hpp"

namespace qnudge::cuda {

/// Which of `rivals`, all made for `task`, runs fastest on random operands and gives the plain kernel's bytes; a rival
/// that does not, or cannot be run, is named in a warning. Runs them on `stream` and waits for the device. Nothing if
/// fewer than two rivals are affordable or if none qualifies. Throws Error(kind device) if operands and workspaces do
/// not fit the device beside what it holds, or if the device stops.
std::optional<std::size_t> fastest_conv(const ConvTask& task, std::span<const std::shared_ptr<const DeviceConv>> rivals,
                                        cudaStream_t stream);

}  // namespace qnudge::cuda
