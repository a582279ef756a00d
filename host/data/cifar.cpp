// SPDX-License-Identifier: MIT
#include <span>

#include "image_set.hpp"
#include "outline.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kSide = 32, kChannels = 3, kPlane = kSide * kSide, kImage = kPlane * kChannels;

/// Appends the records of one file, planes interleaved to HWC.
void append_records(std::span<const std::uint8_t> file, std::size_t label_bytes, ImageBytes& to) {
  const std::size_t record = label_bytes + kImage;
  for (std::size_t at = 0; at < file.size(); at += record) {
    to.labels.push_back(file[at + label_bytes - 1]);
    const auto planes = file.subspan(at + label_bytes, kImage);
    for (std::size_t i = 0; i < kPlane; ++i) {
      for (std::size_t c = 0; c < kChannels; ++c) to.pixels.push_back(planes[c * kPlane + i]);
    }
  }
}

/// Bytes of one record.
std::size_t record_of(int label_bytes) {
  require(label_bytes == 1 || label_bytes == 2, ErrorKind::internal, "CIFAR records of {} label bytes", label_bytes);
  return static_cast<std::size_t>(label_bytes) + kImage;
}

}  // namespace

DatasetOutline outline_cifar(const std::vector<fs::path>& files, int label_bytes) {
  require(!files.empty(), ErrorKind::input, "no CIFAR file was named; at least one is needed");
  const std::size_t record = record_of(label_bytes);
  std::uint64_t total = 0;
  for (const fs::path& path : files) {
    require_regular_file(path);
    const std::uint64_t size = fs::file_size(path);
    require(size > 0 && size % record == 0, ErrorKind::input,
            "{}: {} bytes are no whole number of records of {} bytes ({} of labels, {} of pixels)", path.string(), size,
            record, label_bytes, kImage);
    require(size <= kMaxImageBytes - total, ErrorKind::input, "{}: more than the {} bytes of images that are supported",
            path.string(), kMaxImageBytes);
    total += size;
  }
  return {{kSide, kSide, kChannels}, static_cast<std::int64_t>(total / record)};
}

std::shared_ptr<const Dataset> open_cifar(const std::vector<fs::path>& files, int label_bytes, std::int64_t classes,
                                          const Normalisation& normalisation) {
  const std::size_t record = record_of(label_bytes);
  const DatasetOutline outline = outline_cifar(files, label_bytes);
  const auto count = static_cast<std::size_t>(outline.size);
  ImageBytes bytes;
  bytes.shape = outline.shape;
  bytes.labels.reserve(count);
  bytes.pixels.reserve(count * kImage);
  std::string origin;
  for (const fs::path& path : files) {
    const std::vector<std::uint8_t> file = read_file(path);
    require(file.size() % record == 0, ErrorKind::input, "{}: changed while it was read", path.string());
    append_records(file, static_cast<std::size_t>(label_bytes), bytes);
    origin += (origin.empty() ? "" : ", ") + path.string();
  }
  return make_image_set(std::move(bytes), classes, normalisation, label_bytes == 1 ? "CIFAR-10" : "CIFAR-100", origin);
}

}  // namespace qnudge
