// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "qnudge/config/config.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {

/// One recording as it stands in its file.
struct Series {
  std::string origin;                   ///< file
  std::vector<std::string> names;       ///< [sensors]
  std::vector<double> values;           ///< [rows, sensors], finite
  std::vector<std::uint8_t> anomalous;  ///< [rows] 0 or 1
  std::vector<std::int64_t> gaps;       ///< rows, ascending, before which time was left out

  std::int64_t rows() const { return static_cast<std::int64_t>(anomalous.size()); }
};

/// A step of time longer than this many usual ones (the median) is a gap.
constexpr double kGapSteps = 5;

/// CSV, comma, semicolon (then commas may be decimal) or tab, plain or quoted fields, either line end, UTF-8. Names
/// stand in line 1, or in line 2 where only that one holds a column which `config` names. Every other column is a
/// sensor. Without the label column, which a labelled file must have, all rows are normal. Throws Error(kind input)
/// with file and line: other encodings, a field too many or too few, a missing value, a time stamp out of order.
Series read_csv_series(const std::filesystem::path& path, const SeriesConfig& config, bool labelled);

/// NumPy array of little-endian float32 or float64 [rows, sensors] in C order. The labels of a labelled FILE.npy stand
/// in FILE_label.npy, [rows] of 0 and 1. Throws Error(kind input): another type, order or shape, too few or too many
/// bytes, a value that is not finite.
Series read_npy_series(const std::filesystem::path& path, bool labelled);

/// All windows of `window` consecutive rows, in order, as samples of shape {sensors, 1, window}: rows are channels,
/// oldest first. A window's label is its last row's. None spans a gap. In training, rows marked as anomalous are left
/// out like gaps. `config.offset` and `scale`, where empty, are fitted: smallest value and range of each sensor over
/// the rows that are left, range 1 where it is constant. Repairs are named in the description. Throws Error(kind
/// input): sensors that differ between files, no row or no window left, a scaling for another number of sensors.
/// With `trained`, the training set beside a test set, sensors must be that set's, in its order, and its scaling
/// counts.
std::shared_ptr<const Dataset> make_series_set(std::vector<Series> series, const SeriesConfig& config, bool train,
                                               const std::string& origin, const Dataset* trained = nullptr);

}  // namespace qnudge
