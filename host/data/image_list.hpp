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
  std::vector<std::string> warnings;  ///< sentences for whoever opens the images
};

/// The images below a folder.
struct FoundImages {
  std::vector<std::string> names;  ///< of formats that are read, sorted by bytes
  std::vector<std::string> other;  ///< of formats that are not, sorted by bytes

  /// One sentence about `other`: how many of which kind, and the first; empty where there is none.
  std::string passed_over(const std::filesystem::path& folder) const;
};

/// All files below `folder` with an image's name, in any case (.jpg, .jpeg, .jpe, .jfif, .png, .webp, .tif, .tiff,
/// .bmp, .ppm, .pgm, .pnm); what begins with a dot is left out. Throws Error(kind input): no folder, no image, more
/// than kMaxListed, nested deeper than kMaxDepth.
constexpr std::size_t kMaxListed = std::size_t{1} << 19;
constexpr int kMaxDepth = 8;
FoundImages find_images(const std::filesystem::path& folder);

/// The images of `folder` as a text file names them: a name, white space, a label in [0, classes), one image a line,
/// every image of the folder once. Blank lines and Windows line ends are fine. Warns of images of other formats. Throws
/// Error(kind input) naming the line.
ImageList read_image_list(const std::filesystem::path& folder, const std::filesystem::path& labels,
                          std::int64_t classes);

/// The images of `folder` with a folder for each class; the label is the place of its name among all, sorted by bytes.
/// Warns of images of other formats, and where the folders are numbers that stand in another order as texts. Throws
/// Error(kind input) unless there are `classes` folders and each has an image.
ImageList list_by_class(const std::filesystem::path& folder, std::int64_t classes);

}  // namespace qnudge
