// SPDX-License-Identifier: MIT
#include <zlib.h>

#include <algorithm>

#include "image_set.hpp"
#include "outline.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/system_call.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

constexpr std::uint32_t kImagesMagic = 0x00000803;
constexpr std::uint32_t kLabelsMagic = 0x00000801;

/// A file that zlib inflates if it is gzip and passes through if not. Never inflates more than is asked for.
class IdxFile {
 public:
  explicit IdxFile(const fs::path& path) : path_(path.string()) {
    require_regular_file(path);
    const auto opened = system_call_once([&] { return gzopen(path.c_str(), "rb"); });
    require(opened.ok(), ErrorKind::input, "{}: cannot be read: {}", path_, opened.reason());
    file_ = opened.value;
  }
  ~IdxFile() { gzclose_r(file_); }
  IdxFile(const IdxFile&) = delete;
  IdxFile& operator=(const IdxFile&) = delete;

  /// The big-endian words of the header: `magic`, then `dimensions` extents, all above 0.
  std::vector<std::uint64_t> read_header(std::uint32_t magic, std::size_t dimensions, const char* content) {
    const std::vector<std::uint8_t> bytes = read(4 * (1 + dimensions));
    std::vector<std::uint64_t> words;
    for (std::size_t i = 0; i + 3 < bytes.size(); i += 4) {
      words.push_back(std::uint64_t{bytes[i]} << 24 | bytes[i + 1] << 16 | bytes[i + 2] << 8 | bytes[i + 3]);
    }
    require(words.empty() || words[0] == magic, ErrorKind::input,
            "{}: begins with {:#010x}, IDX {} (unsigned bytes, {} dimension(s)) with {:#010x}", path_,
            words.empty() ? 0 : words[0], content, dimensions, magic);
    require(words.size() == 1 + dimensions, ErrorKind::input, "{}: is cut short in its header of {} bytes", path_,
            4 * (1 + dimensions));
    words.erase(words.begin());
    require(std::find(words.begin(), words.end(), 0u) == words.end(), ErrorKind::input,
            "{}: its header says {}; every extent must be above 0", path_, fmt::join(words, " x "));
    return words;
  }

  /// Exactly the rest of the file, which the header says to be `count` bytes.
  std::vector<std::uint8_t> read_rest(std::uint64_t count) {
    std::vector<std::uint8_t> bytes = read(count);
    require(bytes.size() == count, ErrorKind::input, "{}: is cut short: its header promises {} bytes of data, found {}",
            path_, count, bytes.size());
    require(read(1).empty(), ErrorKind::input, "{}: has more data than the {} bytes that its header promises", path_,
            count);
    return bytes;
  }

  const std::string& path() const { return path_; }

 private:
  /// Up to `count` bytes, fewer at the end. Memory grows with what is there, not with what a header claims.
  std::vector<std::uint8_t> read(std::uint64_t count) {
    constexpr std::uint64_t kStep = 1 << 20;
    std::vector<std::uint8_t> bytes;
    while (bytes.size() < count) {
      const std::size_t have = bytes.size();
      const auto wanted = static_cast<unsigned>(std::min<std::uint64_t>(count - have, kStep));
      bytes.resize(have + wanted);
      const int got = gzread(file_, bytes.data() + have, wanted);
      bytes.resize(have + static_cast<std::size_t>(std::max(got, 0)));
      if (got < static_cast<int>(wanted)) {
        check_stream();
        break;
      }
    }
    return bytes;
  }

  void check_stream() {
    int error = Z_OK;
    const std::string text = gzerror(file_, &error);  // "path: reason", taken when the call failed
    require(error != Z_BUF_ERROR, ErrorKind::input, "{}: is cut short (its gzip stream does not end)", path_);
    require(error != Z_ERRNO, ErrorKind::input, "{}: cannot be read: {}", path_,
            text.substr(text.starts_with(path_ + ": ") ? path_.size() + 2 : 0));
    require(error == Z_OK || error == Z_STREAM_END, ErrorKind::input,
            "{}: is corrupted (its gzip stream does not decode)", path_);
  }

  std::string path_;
  gzFile file_ = nullptr;
};

/// Reads both headers, which must agree.
Shape read_headers(IdxFile& image_file, IdxFile& label_file, std::uint64_t& count) {
  const std::vector<std::uint64_t> extent = image_file.read_header(kImagesMagic, 3, "images");
  constexpr std::uint64_t kMaxSide = 65536;
  const bool sane =
      extent[1] <= kMaxSide && extent[2] <= kMaxSide && extent[0] <= kMaxImageBytes / (extent[1] * extent[2]);
  require(sane, ErrorKind::input, "{}: its header says {}, more than the {} bytes that are supported",
          image_file.path(), fmt::join(extent, " x "), kMaxImageBytes);
  count = label_file.read_header(kLabelsMagic, 1, "labels")[0];
  require(count == extent[0], ErrorKind::input, "{}: has {} labels, but {} has {} images", label_file.path(), count,
          image_file.path(), extent[0]);
  return {static_cast<std::int64_t>(extent[1]), static_cast<std::int64_t>(extent[2]), 1};
}

}  // namespace

DatasetOutline outline_idx(const fs::path& images, const fs::path& labels) {
  IdxFile image_file(images), label_file(labels);
  std::uint64_t count = 0;
  const Shape shape = read_headers(image_file, label_file, count);
  return {shape, static_cast<std::int64_t>(count)};
}

std::shared_ptr<const Dataset> open_idx(const fs::path& images, const fs::path& labels, std::int64_t classes,
                                        const Normalisation& normalisation) {
  IdxFile image_file(images), label_file(labels);
  std::uint64_t count = 0;
  ImageBytes bytes;
  bytes.shape = read_headers(image_file, label_file, count);
  const std::vector<std::uint8_t> classes_read = label_file.read_rest(count);
  bytes.labels.assign(classes_read.begin(), classes_read.end());
  bytes.pixels = image_file.read_rest(count * static_cast<std::uint64_t>(bytes.shape.size()));
  return make_image_set(std::move(bytes), classes, normalisation, "IDX", image_file.path() + ", " + label_file.path());
}

}  // namespace qnudge
