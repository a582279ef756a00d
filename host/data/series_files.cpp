// SPDX-License-Identifier: MIT
#include "series_files.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

std::vector<fs::path> files_of(const std::string& named, const std::string& ending) {
  std::error_code error;
  if (!fs::is_directory(named, error)) return {named};
  std::vector<fs::path> files;
  for (fs::directory_iterator it(named, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().ends_with(ending)) files.push_back(it->path());
  }
  require(!error, ErrorKind::input, "{}: cannot be read: {}", named, error.message());
  require(!files.empty(), ErrorKind::input, "{}: holds no file *{}", named, ending);
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

std::shared_ptr<const Dataset> open_series(const DataConfig& config, bool train, const Dataset* trained) {
  const std::string ending = fmt::format("_{}.{}", train ? "train" : "test", config.format);
  const std::vector<std::string>& named = train ? config.train_images : config.test_images;
  std::vector<Series> series;
  for (const std::string& name : named) {
    for (const fs::path& file : files_of(name, ending)) {
      series.push_back(config.format == "csv" ? read_csv_series(file, config.series, !train)
                                              : read_npy_series(file, !train));
    }
  }
  return make_series_set(std::move(series), config.series, train, fmt::format("{}", fmt::join(named, ", ")), trained);
}

}  // namespace qnudge
