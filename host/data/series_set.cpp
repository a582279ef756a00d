// SPDX-License-Identifier: MIT
#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {

/// Rows of one file that follow each other in time.
struct Stretch {
  std::size_t file;
  std::int64_t first, end;
};

/// Between gaps, and in training also between rows that are marked as anomalous.
std::vector<Stretch> stretches_of(const std::vector<Series>& series, bool train) {
  std::vector<Stretch> stretches;
  for (std::size_t f = 0; f < series.size(); ++f) {
    const Series& s = series[f];
    std::int64_t first = 0;
    auto gap = s.gaps.begin();
    for (std::int64_t row = 0; row <= s.rows(); ++row) {
      const bool left_out = row < s.rows() && train && s.anomalous[static_cast<std::size_t>(row)];
      const bool after_gap = gap != s.gaps.end() && *gap == row;
      if (after_gap) ++gap;
      if (row < s.rows() && !left_out && !after_gap) continue;
      if (row > first) stretches.push_back({f, first, row});
      first = left_out ? row + 1 : row;
    }
  }
  return stretches;
}

void check_sensors(const std::vector<Series>& series, const std::string& origin) {
  require(!series.empty(), ErrorKind::input, "{}: holds no series", origin);
  for (const Series& s : series) {
    require(s.names == series.front().names, ErrorKind::input, "{}: its {} sensors ({}) are not the {} of {} ({})",
            s.origin, s.names.size(), fmt::join(s.names, ", "), series.front().names.size(), series.front().origin,
            fmt::join(series.front().names, ", "));
  }
}

/// Those of `names` that are not among `others`.
std::vector<std::string> beyond(const std::vector<std::string>& names, const std::vector<std::string>& others) {
  std::vector<std::string> rest;
  std::copy_if(names.begin(), names.end(), std::back_inserter(rest),
               [&](const std::string& name) { return std::find(others.begin(), others.end(), name) == others.end(); });
  return rest;
}

void check_sensors(const std::vector<std::string>& test, const std::string& origin, const Dataset& trained) {
  const std::vector<std::string>& train = trained.scaling()->names;
  if (test == train) return;
  const std::vector<std::string> missing = beyond(train, test), added = beyond(test, train);
  std::string difference;
  if (!missing.empty()) difference += fmt::format("; {} missing", fmt::join(missing, ", "));
  if (!added.empty()) difference += fmt::format("; {} not in the training series", fmt::join(added, ", "));
  if (difference.empty())
    difference = fmt::format("; their order is {}, not {}", fmt::join(test, ", "), fmt::join(train, ", "));
  fail(ErrorKind::input, "{}: has {} sensors, the training series {}{}", origin, test.size(), train.size(), difference);
}

SeriesScaling fit(const std::vector<Series>& series, const std::vector<Stretch>& stretches) {
  const std::size_t sensors = series.front().names.size();
  SeriesScaling scaling{series.front().names, {}, {}};
  for (std::size_t s = 0; s < sensors; ++s) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const Stretch& stretch : stretches) {
      for (std::int64_t row = stretch.first; row < stretch.end; ++row) {
        const double value = series[stretch.file].values[static_cast<std::size_t>(row) * sensors + s];
        low = std::min(low, value);
        high = std::max(high, value);
      }
    }
    scaling.offset.push_back(low);
    scaling.scale.push_back(high > low ? high - low : 1);
  }
  return scaling;
}

class SeriesSet final : public Dataset {
 public:
  SeriesSet(std::vector<Series> series, const SeriesConfig& config, bool train, const std::string& origin,
            const Dataset* trained)
      : window_(config.window), sensors_(static_cast<std::int64_t>(series.front().names.size())) {
    const std::vector<Stretch> stretches = stretches_of(series, train);
    require(!stretches.empty(), ErrorKind::input, "{}: every row is marked as anomalous; training needs normal ones",
            origin);
    scaling_ = trained != nullptr      ? *trained->scaling()
               : config.offset.empty() ? fit(series, stretches)
                                       : SeriesScaling{series.front().names, config.offset, config.scale};
    require(scaling_.offset.size() == series.front().names.size(), ErrorKind::input,
            "{}: has {} sensors, but data.series.offset has {} values; give one per sensor, or [] to fit them", origin,
            sensors_, scaling_.offset.size());
    for (const Stretch& stretch : stretches) take(series[stretch.file], stretch);
    require(size() > 0, ErrorKind::input,
            "{}: no stretch of rows without a gap is as long as a window of {} rows (data.series.window)", origin,
            window_);
    describe(series, train, origin);
    const std::int64_t header[] = {sensors_, window_};
    fingerprint_ = Fingerprint()
                       .add("series")
                       .add_values(std::span<const std::int64_t>(header))
                       .add_values(std::span<const double>(scaling_.offset))
                       .add_values(std::span<const double>(scaling_.scale))
                       .add_values(std::span<const float>(values_))
                       .add_values(std::span<const std::int64_t>(starts_))
                       .add_values(std::span<const std::int32_t>(labels_))
                       .hex();
  }

  Shape shape() const override { return {sensors_, 1, window_}; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t classes() const override { return 2; }
  std::span<const std::int32_t> labels() const override { return labels_; }
  const std::string& fingerprint() const override { return fingerprint_; }
  std::string description() const override { return description_; }
  std::span<const Run> runs() const override { return runs_; }
  std::int64_t overlap() const override { return window_ - 1; }
  const SeriesScaling* scaling() const override { return &scaling_; }

  void read(std::int64_t index, std::span<float> out) const override {
    require(index >= 0 && index < size() && out.size() == static_cast<std::size_t>(window_ * sensors_),
            ErrorKind::internal, "window {} of {} asked for as {} values of {}", index, size(), out.size(),
            window_ * sensors_);
    const float* row = values_.data() + starts_[static_cast<std::size_t>(index)] * sensors_;
    for (std::int64_t w = 0; w < window_; ++w, row += sensors_) {
      for (std::int64_t s = 0; s < sensors_; ++s) out[static_cast<std::size_t>(s * window_ + w)] = row[s];
    }
  }

 private:
  void take(const Series& series, const Stretch& stretch) {
    const std::int64_t rows = stretch.end - stretch.first;
    if (rows < window_) {
      short_rows_ += rows;
      return;
    }
    const auto base = static_cast<std::int64_t>(values_.size()) / sensors_;
    for (std::int64_t i = stretch.first * sensors_; i < stretch.end * sensors_; ++i) {
      const auto s = static_cast<std::size_t>(i % sensors_);
      values_.push_back(
          static_cast<float>((series.values[static_cast<std::size_t>(i)] - scaling_.offset[s]) / scaling_.scale[s]));
    }
    runs_.push_back({size(), rows - window_ + 1});
    for (std::int64_t w = 0; w <= rows - window_; ++w) {
      starts_.push_back(base + w);
      labels_.push_back(series.anomalous[static_cast<std::size_t>(stretch.first + w + window_ - 1)]);
    }
  }

  void describe(const std::vector<Series>& series, bool train, const std::string& origin) {
    std::int64_t marked = 0;
    std::size_t gaps = 0;
    for (const Series& s : series) {
      marked += std::count(s.anomalous.begin(), s.anomalous.end(), 1);
      gaps += s.gaps.size();
    }
    description_ =
        fmt::format("{} windows of {} rows of {} sensors in {} series", size(), window_, sensors_, series.size());
    if (!train) {
      description_ += fmt::format(", {} of them anomalous", std::count(labels_.begin(), labels_.end(), 1));
    }
    description_ += ", from " + origin;
    const auto add = [&](const std::string& remark) { description_ += "; " + remark; };
    if (train && marked > 0) add(fmt::format("{} rows marked as anomalous are left out", marked));
    if (gaps > 0) add(fmt::format("no window spans the {} gaps in time", gaps));
    if (short_rows_ > 0) add(fmt::format("{} rows are left out in stretches shorter than a window", short_rows_));
    if (const std::vector<std::string> still = constant_sensors(); train && !still.empty()) {
      add(fmt::format("constant sensors, scaled by 1: {}", fmt::join(still, ", ")));
    }
  }

  std::vector<std::string> constant_sensors() const {
    std::vector<std::string> still;
    for (std::int64_t s = 0; s < sensors_; ++s) {
      bool moves = false;
      for (auto at = static_cast<std::size_t>(s); at < values_.size() && !moves;
           at += static_cast<std::size_t>(sensors_)) {
        moves = values_[at] != values_[static_cast<std::size_t>(s)];
      }
      if (!moves) still.push_back(scaling_.names[static_cast<std::size_t>(s)]);
    }
    return still;
  }

  std::int64_t window_, sensors_, short_rows_ = 0;
  SeriesScaling scaling_;
  std::vector<float> values_;         // [rows, sensors] of all stretches, scaled
  std::vector<std::int64_t> starts_;  // [windows] first row
  std::vector<std::int32_t> labels_;  // [windows]
  std::vector<Run> runs_;
  std::string fingerprint_, description_;
};

}  // namespace

std::shared_ptr<const Dataset> make_series_set(std::vector<Series> series, const SeriesConfig& config, bool train,
                                               const std::string& origin, const Dataset* trained) {
  check_sensors(series, origin);
  if (trained != nullptr) check_sensors(series.front().names, series.front().origin, *trained);
  return std::make_shared<SeriesSet>(std::move(series), config, train, origin, trained);
}

}  // namespace qnudge
