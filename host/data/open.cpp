// SPDX-License-Identifier: MIT
#include "qnudge/data/open.hpp"

#include "outline.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/data/readers.hpp"
#include "series_files.hpp"

namespace qnudge {
namespace {

const std::string& only_one(const DataConfig& config, const std::vector<std::string>& images) {
  require(images.size() == 1, ErrorKind::input, "the format {} needs one {}, found {}", config.format,
          config.format == "idx" ? "file of images" : "folder", images.size());
  return images.front();
}

int label_bytes(const DataConfig& config) {
  require(config.format == "cifar10" || config.format == "cifar100", ErrorKind::input, "unknown data.format '{}'",
          config.format);
  return config.format == "cifar10" ? 1 : 2;
}

ImageFolder folder_of(const DataConfig& config, bool train, int threads) {
  const std::int64_t classes = config.classes == 0 ? usual_classes(config.format) : config.classes;
  return {.folder = only_one(config, train ? config.train_images : config.test_images),
          .labels = train ? config.train_labels : config.test_labels,
          .classes = classes,
          .resize = config.resize,
          .crop = config.crop,
          .cache = config.cache,
          .threads = threads};
}

}  // namespace

std::shared_ptr<const Dataset> open_dataset(const DataConfig& config, bool train, int threads, const Dataset* trained) {
  if (config.is_series()) return open_series(config, train, trained);
  const std::vector<std::string>& images = train ? config.train_images : config.test_images;
  const std::string& labels = train ? config.train_labels : config.test_labels;
  const Normalisation normalisation = {{config.mean.begin(), config.mean.end()},
                                       {config.std.begin(), config.std.end()}};
  const std::int64_t classes = config.classes == 0 ? usual_classes(config.format) : config.classes;
  if (config.format == "idx") return open_idx(only_one(config, images), labels, classes, normalisation);
  if (config.format == "image_folder") return open_image_folder(folder_of(config, train, threads), normalisation);
  return open_cifar({images.begin(), images.end()}, label_bytes(config), classes, normalisation);
}

std::optional<DatasetOutline> outline_dataset(const DataConfig& config, bool train) {
  if (config.is_series()) return std::nullopt;
  const std::vector<std::string>& images = train ? config.train_images : config.test_images;
  if (config.format == "idx") {
    return outline_idx(only_one(config, images), train ? config.train_labels : config.test_labels);
  }
  if (config.format == "image_folder") return outline_image_folder(folder_of(config, train, 0));
  return outline_cifar({images.begin(), images.end()}, label_bytes(config));
}

}  // namespace qnudge
