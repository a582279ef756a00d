// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace qnudge {

/// Names relative to a folder, and a label for each, in the order of the dataset.
struct ImageList {
  std::vector<std::string> names;
  std::vector<std::int32_t> labels;
};

/// All .jpg, .jpeg and .png below `folder`, in any case, sorted by bytes; what begins with a dot is left out. Throws
/// Error(kind input): no folder, no image, more than kMaxListed, nested deeper than kMaxDepth.
constexpr std::size_t kMaxListed = std::size_t{1} << 19;
constexpr int kMaxDepth = 8;
std::vector<std::string> find_images(const std::filesystem::path& folder);

/// The images of `folder` as a text file names them: a name, white space, a label in [0, classes), one image a line,
/// every image of the folder once. Blank lines and Windows line ends are fine. Throws Error(kind input) naming the
/// line.
ImageList read_image_list(const std::filesystem::path& folder, const std::filesystem::path& labels,
                          std::int64_t classes);

/// The images of `folder` with a folder for each class; the label is the place of its name among all, sorted by bytes.
/// Throws Error(kind input) unless there are `classes` folders and each has an image.
ImageList list_by_class(const std::filesystem::path& folder, std::int64_t classes);

}  // namespace qnudge
