// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// (x / 255 - mean[c]) / std[c], computed in float in that order.
struct Normalisation {
  std::vector<float> mean, std;  ///< one value per channel
};

/// IDX images (magic 0x00000803, unsigned bytes) and labels (0x00000801), plain or gzip (".gz"). One channel.
/// Throws Error(kind input): wrong magic, truncated, trailing bytes, counts that differ, label out of range.
std::shared_ptr<const Dataset> open_idx(const std::filesystem::path& images, const std::filesystem::path& labels,
                                        std::int64_t classes, const Normalisation& normalisation);

/// CIFAR binary records: `label_bytes` label bytes (1 for CIFAR-10; 2 for CIFAR-100: coarse, fine; the last one is the
/// label), then 3072 bytes as planes R, G, B of 32 x 32. Throws as `open_idx`; a size that is no multiple of a record
/// too.
std::shared_ptr<const Dataset> open_cifar(const std::vector<std::filesystem::path>& files, int label_bytes,
                                          std::int64_t classes, const Normalisation& normalisation);

/// `count` images of noise, every byte equally likely and the same for a seed; label i mod classes, mean .5, std .25.
/// For timing where no images are at hand.
std::shared_ptr<const Dataset> random_images(const Shape& shape, std::int64_t count, std::int64_t classes,
                                             std::uint64_t seed);

/// A folder of image files (host/data/raster.hpp says which) and what is done to them.
struct ImageFolder {
  std::filesystem::path folder;
  std::filesystem::path labels;  ///< text file, a name and a label per line; empty: a folder for each class
  std::int64_t classes = 0;
  std::int64_t resize = 0;      ///< the shorter side becomes this; 0: as it is
  std::int64_t crop = 0;        ///< the middle that is left, crop x crop
  std::filesystem::path cache;  ///< folder for decoded images; empty: $XDG_CACHE_HOME/qnudge, else ~/.cache/qnudge
  int threads = 0;              ///< for decoding; 0: one per core
};

/// Three channels, [crop, crop, 3]: bilinear with antialias and centre crop as torchvision does them on PIL images, see
/// host/data/raster.hpp. All images are decoded once, into one file that later runs read; pixels are read from it one
/// image at a time and never all in memory. Throws Error: input for a label file and folder that contradict each other
/// (naming file and line) and for images that cannot be decoded, usage where the cache cannot be written.
std::shared_ptr<const Dataset> open_image_folder(const ImageFolder& from, const Normalisation& normalisation);

}  // namespace qnudge
