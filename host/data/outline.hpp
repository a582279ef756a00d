// SPDX-License-Identifier: MIT
#pragma once

#include "qnudge/data/open.hpp"
#include "qnudge/data/readers.hpp"

namespace qnudge {

/// The part of each reader that decides without reading images; throws as the reader does.
DatasetOutline outline_idx(const std::filesystem::path& images, const std::filesystem::path& labels);
DatasetOutline outline_cifar(const std::vector<std::filesystem::path>& files, int label_bytes);
DatasetOutline outline_image_folder(const ImageFolder& from);

}  // namespace qnudge
