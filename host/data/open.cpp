// SPDX-License-Identifier: MIT
#include "qnudge/data/open.hpp"

#include "qnudge/core/error.hpp"
#include "qnudge/data/readers.hpp"
#include "series_files.hpp"

namespace qnudge {

std::shared_ptr<const Dataset> open_dataset(const DataConfig& config, bool train, int threads) {
  if (config.is_series()) return open_series(config, train);
  const std::vector<std::string>& images = train ? config.train_images : config.test_images;
  const std::string& labels = train ? config.train_labels : config.test_labels;
  const Normalisation normalisation = {{config.mean.begin(), config.mean.end()},
                                       {config.std.begin(), config.std.end()}};
  const std::int64_t classes = config.classes == 0 ? usual_classes(config.format) : config.classes;
  if (config.format == "idx") {
    require(images.size() == 1, ErrorKind::input, "the format idx needs one file of images, found {}", images.size());
    return open_idx(images[0], labels, classes, normalisation);
  }
  if (config.format == "image_folder") {
    require(images.size() == 1, ErrorKind::input, "the format image_folder needs one folder, found {}", images.size());
    return open_image_folder({images[0], labels, classes, config.resize, config.crop, config.cache, threads},
                             normalisation);
  }
  require(config.format == "cifar10" || config.format == "cifar100", ErrorKind::input, "unknown data.format '{}'",
          config.format);
  return open_cifar({images.begin(), images.end()}, config.format == "cifar10" ? 1 : 2, classes, normalisation);
}

}  // namespace qnudge
