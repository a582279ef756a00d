// SPDX-License-Identifier: MIT
#include "image_set.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <utility>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

void check_labels(const std::vector<std::int32_t>& labels, std::int64_t classes, const std::string& origin) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    require(labels[i] >= 0 && labels[i] < classes, ErrorKind::input,
            "{}: image {} has label {}, but with data.classes = {} labels are 0..{}", origin, i, labels[i], classes,
            classes - 1);
  }
}

class ImageSet final : public Dataset {
 public:
  ImageSet(ImageBytes images, std::int64_t classes, const Normalisation& n, const std::string& format,
           const std::string& origin)
      : images_(std::move(images)), classes_(classes), normaliser_(n, images_.shape.c, origin) {
    const std::array<std::int64_t, 4> header = {images_.shape.h, images_.shape.w, images_.shape.c, classes};
    fingerprint_ = Fingerprint()
                       .add("images")
                       .add_values(std::span<const std::int64_t>(header))
                       .add_values(std::span<const float>(n.mean))
                       .add_values(std::span<const float>(n.std))
                       .add_values(std::span<const std::uint8_t>(images_.pixels))
                       .add_values(std::span<const std::int32_t>(images_.labels))
                       .hex();
    description_ = fmt::format("{} images of {}x{}x{} in {} classes, {}, from {}", size(), images_.shape.h,
                               images_.shape.w, images_.shape.c, classes, format, origin);
  }

  Shape shape() const override { return images_.shape; }
  std::int64_t size() const override { return static_cast<std::int64_t>(images_.labels.size()); }
  std::int64_t classes() const override { return classes_; }
  std::span<const std::int32_t> labels() const override { return images_.labels; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::string description() const override { return description_; }

  void read(std::int64_t index, std::span<float> out) const override {
    check_read(*this, index, out);
    normaliser_.apply(std::span(images_.pixels).subspan(static_cast<std::size_t>(index) * out.size(), out.size()), out);
  }

 private:
  ImageBytes images_;
  std::int64_t classes_;
  ByteNormaliser normaliser_;
  std::string fingerprint_, description_;
};

}  // namespace

ByteNormaliser::ByteNormaliser(const Normalisation& n, std::int64_t count, const std::string& origin)
    : values_(static_cast<std::size_t>(count)) {
  const std::size_t channels = values_.size();
  require(n.mean.size() == channels && n.std.size() == channels, ErrorKind::input,
          "{}: images of {} channel(s), but data.mean has {} value(s) and data.std {}; give one per channel", origin,
          channels, n.mean.size(), n.std.size());
  for (std::size_t c = 0; c < channels; ++c) {
    require(std::isfinite(n.mean[c]) && std::isfinite(n.std[c]) && n.std[c] > 0.0f, ErrorKind::input,
            "{}: channel {} has mean {} and std {}; both must be finite, std above 0", origin, c, n.mean[c], n.std[c]);
    for (std::size_t x = 0; x < 256; ++x) values_[c][x] = (static_cast<float>(x) / 255.0f - n.mean[c]) / n.std[c];
  }
}

void ByteNormaliser::apply(std::span<const std::uint8_t> pixels, std::span<float> out) const {
  const std::size_t channels = values_.size();
  for (std::size_t i = 0; i < out.size(); i += channels) {
    for (std::size_t c = 0; c < channels; ++c) out[i + c] = values_[c][pixels[i + c]];
  }
}

void check_read(const Dataset& dataset, std::int64_t index, std::span<float> out) {
  require(index >= 0 && index < dataset.size() && std::cmp_equal(out.size(), dataset.shape().size()),
          ErrorKind::internal, "image {} of {} asked for as {} values of {}", index, dataset.size(), out.size(),
          dataset.shape().size());
}

std::shared_ptr<const Dataset> make_image_set(ImageBytes images, std::int64_t classes,
                                              const Normalisation& normalisation, const std::string& format,
                                              const std::string& origin) {
  require(classes > 0, ErrorKind::input, "{}: {} classes; at least 1 is needed", origin, classes);
  check_labels(images.labels, classes, origin);
  return std::make_shared<ImageSet>(std::move(images), classes, normalisation, format, origin);
}

std::shared_ptr<const Dataset> random_images(const Shape& shape, std::int64_t count, std::int64_t classes,
                                             std::uint64_t seed) {
  ImageBytes bytes{.shape = shape, .pixels = {}, .labels = {}};
  bytes.pixels.resize(static_cast<std::size_t>(count * shape.size()));
  std::mt19937_64 draw(seed);
  std::generate(bytes.pixels.begin(), bytes.pixels.end(), [&] { return static_cast<std::uint8_t>(draw() >> 56); });
  for (std::int64_t i = 0; i < count; ++i) bytes.labels.push_back(static_cast<std::int32_t>(i % classes));
  const auto channels = static_cast<std::size_t>(shape.c);
  const Normalisation centred{std::vector<float>(channels, 0.5f), std::vector<float>(channels, 0.25f)};
  return make_image_set(std::move(bytes), classes, centred, "noise", "seed " + std::to_string(seed));
}

void require_regular_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  require(std::filesystem::exists(status), ErrorKind::input, "{}: cannot be read: {}", path.string(),
          error ? error.message() : "no such file");
  require(std::filesystem::is_regular_file(status), ErrorKind::input, "{}: is not a regular file", path.string());
}

}  // namespace qnudge
