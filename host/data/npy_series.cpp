// SPDX-License-Identifier: MIT
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <regex>

#include "image_set.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/data/series.hpp"

namespace qnudge {
namespace {
static_assert(std::endian::native == std::endian::little, "arrays are read as they lie in the file");

/// A NumPy array whose header has been read and whose bytes are all there.
struct NpyArray {
  std::string path, type;           // type as NumPy writes it, e.g. "<f4"
  std::vector<std::int64_t> shape;  // C order
  std::vector<std::uint8_t> file;
  std::size_t data = 0;  // where the values begin

  std::string shape_text() const { return fmt::format("({})", fmt::join(shape, ", ")); }

  template <class T>
  T at(std::size_t i) const {
    T value;
    std::memcpy(&value, file.data() + data + i * sizeof(T), sizeof(T));
    return value;
  }
};

std::size_t bytes_of(const std::string& type) {
  if (type.size() != 3 || (type[0] != '<' && type[0] != '|')) return 0;
  const std::size_t bytes = static_cast<std::size_t>(type[2] - '0');
  return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8 ? bytes : 0;
}

/// The product of the extents; throws where the file would have to be larger than it is.
std::size_t checked_count(const NpyArray& array, std::size_t available) {
  std::size_t count = 1;
  for (const std::int64_t extent : array.shape) {
    const auto e = static_cast<std::size_t>(extent);
    require(e == 0 || count <= available / e, ErrorKind::input,
            "{}: its shape {} needs more than the {} bytes of values that it holds", array.path, array.shape_text(),
            available);
    count *= e;
  }
  return count;
}

NpyArray read_npy(const std::filesystem::path& path) {
  require_regular_file(path);
  NpyArray array{.path = path.string(), .type = {}, .shape = {}, .file = read_file(path)};
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(array.file[i]); };
  const bool magic = array.file.size() >= 12 && std::memcmp(array.file.data(), "\x93NUMPY", 6) == 0 && byte(6) >= 1 &&
                     byte(6) <= 3 && byte(7) == 0;
  require(magic, ErrorKind::input, "{}: is not a NumPy array (.npy, format 1 to 3)", array.path);
  const std::size_t prefix = byte(6) == 1 ? 10 : 12;
  const std::size_t length = byte(8) + (byte(9) << 8) + (prefix == 12 ? (byte(10) << 16) + (byte(11) << 24) : 0);
  require(length <= array.file.size() - prefix, ErrorKind::input, "{}: ends within its header", array.path);
  require(length <= 65536, ErrorKind::input, "{}: has a header of {} bytes; an array of numbers needs less than 65536",
          array.path, length);
  array.data = prefix + length;

  std::string header(reinterpret_cast<const char*>(array.file.data()) + prefix, length);
  header.erase(header.find_last_not_of(" \n") + 1);  // any amount of padding
  static const std::regex kHeader(
      R"(\{'descr': '([^']{1,8})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,100})\),? ?\})");
  constexpr std::size_t kLongest = 256;  // more than matches; the matcher calls itself for every character
  std::smatch match;
  require(header.size() <= kLongest && std::regex_match(header, match, kHeader), ErrorKind::input,
          "{}: its header does not describe an array of numbers", array.path);
  array.type = match[1];
  const std::string shape = match[3];
  for (const char *at = shape.data(), *end = at + shape.size(); at < end;) {
    std::int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error == std::errc{}) array.shape.push_back(extent);
    require(error != std::errc::result_out_of_range, ErrorKind::input, "{}: its shape ({}) is out of range", array.path,
            shape);
    at = error == std::errc{} ? next : at + 1;
  }
  require(match[2] == "False" || array.shape.size() < 2, ErrorKind::input,
          "{}: is in Fortran order; save it in C order (numpy.ascontiguousarray)", array.path);
  const std::size_t size = bytes_of(array.type), available = array.file.size() - array.data;
  require(size > 0, ErrorKind::input, "{}: holds values of type '{}'; little-endian numbers are needed", array.path,
          array.type);
  const std::size_t needed = checked_count(array, available) * size;
  require(needed == available, ErrorKind::input, "{}: holds {} bytes of values; shape {} of '{}' needs {}", array.path,
          available, array.shape_text(), array.type, needed);
  return array;
}

double value_at(const NpyArray& array, std::size_t i) {
  if (array.type == "<f4") return static_cast<double>(array.at<float>(i));
  if (array.type == "<f8") return array.at<double>(i);
  if (array.type == "<i4") return array.at<std::int32_t>(i);
  if (array.type == "<i8") return static_cast<double>(array.at<std::int64_t>(i));
  if (array.type == "|u1" || array.type == "|b1" || array.type == "|i1") return array.at<std::uint8_t>(i);
  fail(ErrorKind::input, "{}: holds labels of type '{}'; bool, 8, 32 or 64 bit integers, or floats are possible",
       array.path, array.type);
}

std::vector<std::uint8_t> read_labels(const std::filesystem::path& path, std::int64_t rows) {
  const NpyArray array = read_npy(path);
  require(array.shape.size() == 1 && array.shape[0] == rows, ErrorKind::input,
          "{}: has the shape {}; the series beside it needs ({})", array.path, array.shape_text(), rows);
  std::vector<std::uint8_t> labels;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rows); ++i) {
    const double label = value_at(array, i);
    require(label == 0 || label == 1, ErrorKind::input, "{}: label {} is {}; labels are 0 or 1", array.path, i, label);
    labels.push_back(label == 1 ? 1 : 0);
  }
  return labels;
}

}  // namespace

Series read_npy_series(const std::filesystem::path& path, bool labelled) {
  const NpyArray array = read_npy(path);
  require(array.type == "<f4" || array.type == "<f8", ErrorKind::input,
          "{}: holds values of type '{}'; a series needs float32 ('<f4') or float64 ('<f8')", array.path, array.type);
  require(array.shape.size() == 2 && array.shape[0] > 0 && array.shape[1] > 0, ErrorKind::input,
          "{}: has the shape {}; a series needs (rows, sensors)", array.path, array.shape_text());
  const std::int64_t rows = array.shape[0], sensors = array.shape[1];
  Series series;
  series.origin = array.path;
  for (std::int64_t s = 0; s < sensors; ++s) series.names.push_back(fmt::format("{}", s));
  series.values.resize(static_cast<std::size_t>(rows * sensors));
  for (std::size_t i = 0; i < series.values.size(); ++i) {
    series.values[i] = value_at(array, i);
    require(std::isfinite(series.values[i]), ErrorKind::input, "{}: row {}, column {} is {}; values must be finite",
            array.path, i / static_cast<std::size_t>(sensors), i % static_cast<std::size_t>(sensors), series.values[i]);
  }
  series.anomalous.assign(static_cast<std::size_t>(rows), 0);
  if (labelled) {
    std::filesystem::path labels = path;
    labels.replace_filename(path.stem().string() + "_label.npy");
    series.anomalous = read_labels(labels, rows);
  }
  return series;
}

}  // namespace qnudge
