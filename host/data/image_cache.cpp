// SPDX-License-Identifier: MIT
#include "image_cache.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/stop.hpp"
#include "raster.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 28;

/// Of all that decides the pixels, as far as it can be told without reading the images.
std::string fingerprint_of(const ImageSources& sources) {
  const std::int64_t preprocessing[] = {sources.resize, sources.crop};
  Fingerprint fingerprint;
  fingerprint.add("image folder 1").add_values(std::span<const std::int64_t>(preprocessing));
  for (const std::string& name : sources.names) {
    stop_point();
    struct stat info {};
    const fs::path path = sources.folder / name;
    const auto looked = system_call([&] { return ::stat(path.c_str(), &info); });
    require(looked.ok(), ErrorKind::input, "{}: cannot be read: {}", path.string(), looked.reason());
    const std::int64_t version[] = {info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
    fingerprint.add(name).add_values(std::span<const std::int64_t>(version));
  }
  return fingerprint.hex();
}

/// Another folder or preprocessing, another file; changed images replace theirs.
fs::path cache_path(const ImageSources& sources, const fs::path& folder) {
  std::error_code unknown;
  const fs::path place = fs::weakly_canonical(sources.folder, unknown);
  const std::string key = Fingerprint()
                              .add(unknown ? sources.folder.string() : place.string())
                              .add(fmt::format("{} {}", sources.resize, sources.crop))
                              .hex();
  return folder / fmt::format("{}-{}.images", place.filename().string(), key.substr(0, 16));
}

/// Where the pixels begin: behind the header, the checksums of all images and one of these.
std::uint64_t pixels_at(const std::string& header, std::size_t images) {
  constexpr std::uint64_t kPage = 4096;
  return (header.size() + 8 * (images + 1) + kPage - 1) / kPage * kPage;
}

std::vector<std::uint8_t> bytes_of(const std::string& header, std::span<const std::uint64_t> checksums) {
  std::vector<std::uint8_t> bytes(header.begin(), header.end());
  const auto append = [&](const void* from, std::size_t count) {
    const auto* first = static_cast<const std::uint8_t*>(from);
    bytes.insert(bytes.end(), first, first + count);
  };
  append(checksums.data(), checksums.size_bytes());
  const std::uint64_t seal = checksum(bytes);
  append(&seal, sizeof seal);
  return bytes;
}

/// Decodes the images of one cache on several threads.
class DecodingRun {
 public:
  DecodingRun(const ImageSources& sources, BlockWriter& file, std::uint64_t pixels)
      : sources_(sources), file_(file), pixels_at_(pixels), checksums_(sources.names.size()) {}

  /// Checksums of all images, whose pixels are in the file.
  std::vector<std::uint64_t> run(int threads) {
    {
      std::vector<std::jthread> helpers;
      try {
        for (int i = 1; i < threads; ++i) {
          helpers.emplace_back([this, stop = StopScope::current()] {
            const StopScope scope(stop);
            work();
          });
        }
      } catch (const std::system_error&) {  // no more threads to be had
      }
      work();
    }
    if (failure_) std::rethrow_exception(failure_);
    if (repaired_ > 0) {
      spdlog::warn("{} of {} images are damaged and were decoded as far as they go; the first is {}: {}", repaired_,
                   checksums_.size(), (sources_.folder / sources_.names[first_repaired_]).string(), repair_);
    }
    return std::move(checksums_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// Images are handed out in order, so that the first one that fails has been tried whatever the threads do.
  void work() {
    for (std::size_t i = next_++; i < checksums_.size() && !failed_; i = next_++) {
      try {
        decode(i);
      } catch (...) {
        const std::lock_guard lock(mutex_);
        failed_ = true;
        if (!failure_ || i < failed_at_) {
          failure_ = std::current_exception();
          failed_at_ = i;
        }
      }
    }
  }

  void decode(std::size_t i) {
    stop_point();
    const fs::path path = sources_.folder / sources_.names[i];
    std::error_code unknown;
    require(!(fs::file_size(path, unknown) > kMaxFileBytes) || unknown, ErrorKind::input,
            "{}: has more than the {} bytes that are supported", path.string(), kMaxFileBytes);
    const Raster image = decode_image(read_file(path), path.string());
    const std::vector<std::uint8_t> pixels = resize_and_crop(image, sources_.resize, sources_.crop, path.string());
    file_.write(pixels_at_ + i * pixels.size(), pixels);
    checksums_[i] = checksum(pixels);
    note(i, image.repair);
  }

  void note(std::size_t i, const std::string& repair) {
    const std::lock_guard lock(mutex_);
    ++done_;
    if (!repair.empty()) {
      if (repaired_++ == 0 || i < first_repaired_) {
        first_repaired_ = i;
        repair_ = repair;
      }
    }
    constexpr std::chrono::seconds kBetweenLines{10};
    if (Clock::now() - last_line_ < kBetweenLines) return;
    last_line_ = Clock::now();
    const double seconds = std::chrono::duration<double>(last_line_ - begun_).count();
    const double rate = static_cast<double>(done_) / seconds;
    spdlog::info("images   {} of {} decoded, {:.0f}/s, {:.0f} s to go", done_, checksums_.size(), rate,
                 static_cast<double>(checksums_.size() - done_) / rate);
  }

  const ImageSources& sources_;
  BlockWriter& file_;
  const std::uint64_t pixels_at_;
  std::vector<std::uint64_t> checksums_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::exception_ptr failure_;
  std::size_t failed_at_ = 0, done_ = 0, repaired_ = 0, first_repaired_ = 0;
  std::string repair_;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point last_line_ = begun_;
};

}  // namespace

ImageCache::ImageCache(const ImageSources& sources, const fs::path& folder, int threads)
    : image_bytes_(static_cast<std::size_t>(sources.image_bytes())),
      checksums_(sources.names.size()),
      path_(cache_path(sources, folder)) {
  const std::string header = fmt::format("qnudge images 1\n{}\n", fingerprint_of(sources));
  if (load(path_, header)) return;
  create_output_folder(folder);
  BlockWriter file(path_);
  if (load(path_, header)) return;  // written by another process, which this one has waited for
  spdlog::info("images   decoding {} of {} into {}", checksums_.size(), sources.folder.string(), path_.string());
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const std::vector<std::uint64_t> checksums =
      DecodingRun(sources, file, pixels_at(header, checksums_.size())).run(threads > 0 ? threads : cores);
  file.write(0, bytes_of(header, checksums));
  file.commit();
  require(load(path_, header), ErrorKind::internal, "{}: cannot be read back", path_.string());
}

bool ImageCache::load(const fs::path& path, const std::string& header) {
  std::error_code unknown;
  if (!fs::is_regular_file(path, unknown)) return false;
  auto file = std::make_unique<BlockReader>(path);
  const std::size_t images = checksums_.size();
  if (file->size() != pixels_at(header, images) + images * image_bytes_) return false;
  std::vector<std::uint8_t> found(header.size() + 8 * (images + 1));
  file->read(0, found);
  std::memcpy(checksums_.data(), found.data() + header.size(), 8 * images);
  if (found != bytes_of(header, checksums_)) return false;
  file_ = std::move(file);
  return true;
}

void ImageCache::read(std::int64_t index, std::span<std::uint8_t> pixels) const {
  const std::uint64_t first = file_->size() - checksums_.size() * image_bytes_;
  file_->read(first + static_cast<std::uint64_t>(index) * image_bytes_, pixels);
  require(checksum(pixels) == checksums_[static_cast<std::size_t>(index)], ErrorKind::input,
          "{}: is corrupted (image {} is not what was written); delete it, and the images are decoded again",
          path_.string(), index);
}

fs::path default_image_cache() {
  for (const auto& [variable, below] : {std::pair("XDG_CACHE_HOME", "qnudge"), std::pair("HOME", ".cache/qnudge")}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && *value != '\0') return fs::path(value) / below;
  }
  fail(ErrorKind::usage, "data.cache: names no folder for decoded images, and neither XDG_CACHE_HOME nor HOME is set");
}

}  // namespace qnudge
