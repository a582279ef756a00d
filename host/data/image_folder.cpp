// SPDX-License-Identifier: MIT
#include <spdlog/spdlog.h>

#include "image_cache.hpp"
#include "image_list.hpp"
#include "image_set.hpp"
#include "outline.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

ImageList list_of(const ImageFolder& from) {
  return from.labels.empty() ? list_by_class(from.folder, from.classes)
                             : read_image_list(from.folder, from.labels, from.classes);
}

class FolderSet final : public Dataset {
 public:
  FolderSet(const ImageFolder& from, ImageList list, const Normalisation& n)
      : labels_(std::move(list.labels)),
        shape_{from.crop, from.crop, 3},
        classes_(from.classes),
        normaliser_(n, shape_.c, from.folder.string()),
        cache_({from.folder, std::move(list.names), from.resize, from.crop},
               from.cache.empty() ? default_image_cache() : from.cache, from.threads) {
    const std::int64_t header[] = {shape_.h, shape_.w, shape_.c, classes_};
    fingerprint_ = Fingerprint()
                       .add("image folder")
                       .add_values(std::span<const std::int64_t>(header))
                       .add_values(std::span<const float>(n.mean))
                       .add_values(std::span<const float>(n.std))
                       .add_values(cache_.checksums())
                       .add_values(std::span<const std::int32_t>(labels_))
                       .hex();
    description_ =
        fmt::format("{} images of {}x{}x3 in {} classes, {}centre crop, from {}", size(), shape_.h, shape_.w, classes_,
                    from.resize == 0 ? "" : fmt::format("resized to {}, ", from.resize), from.folder.string());
  }

  Shape shape() const override { return shape_; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t classes() const override { return classes_; }
  std::span<const std::int32_t> labels() const override { return labels_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::string description() const override { return description_; }

  void read(std::int64_t index, std::span<float> out) const override {
    check_read(*this, index, out);
    std::vector<std::uint8_t> pixels(out.size());
    cache_.read(index, pixels);
    normaliser_.apply(pixels, out);
  }

 private:
  std::vector<std::int32_t> labels_;
  Shape shape_;
  std::int64_t classes_;
  ByteNormaliser normaliser_;
  ImageCache cache_;
  std::string fingerprint_, description_;
};

}  // namespace

DatasetOutline outline_image_folder(const ImageFolder& from) {
  return {{from.crop, from.crop, 3}, static_cast<std::int64_t>(list_of(from).names.size())};
}

std::shared_ptr<const Dataset> open_image_folder(const ImageFolder& from, const Normalisation& normalisation) {
  require(from.classes > 0 && from.crop > 0 && from.resize >= 0, ErrorKind::internal,
          "a folder of images in {} classes, resized to {}, cropped to {}", from.classes, from.resize, from.crop);
  ImageList list = list_of(from);
  for (const std::string& warning : list.warnings) spdlog::warn("{}", warning);
  return std::make_shared<FolderSet>(from, std::move(list), normalisation);
}

}  // namespace qnudge
