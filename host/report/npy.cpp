// SPDX-License-Identifier: MIT
#include "qnudge/report/npy.hpp"

#include <fmt/ranges.h>

#include <bit>
#include <cstring>
#include <string>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace {

static_assert(std::endian::native == std::endian::little, "values are written as they lie in memory");

/// Magic, version, header length and the padded dictionary: a multiple of 64 bytes.
std::string npy_header(const char* type, const std::vector<std::int64_t>& shape) {
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({},), }}", type, fmt::join(shape, ", "));
  constexpr std::size_t kPrefix = 10;
  while ((kPrefix + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  return file + header;
}

void write_array(const std::filesystem::path& path, const char* type, const void* data, std::size_t count,
                 std::size_t element_bytes, const std::vector<std::int64_t>& shape) {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  require(product == static_cast<std::int64_t>(count), ErrorKind::internal, "{}: {} values do not fill the shape ({})",
          path.string(), count, fmt::join(shape, ", "));
  std::string file = npy_header(type, shape);
  const std::size_t header_bytes = file.size();
  file.resize(header_bytes + count * element_bytes);
  if (count > 0) std::memcpy(file.data() + header_bytes, data, count * element_bytes);
  write_named_file(path, file);
}

}  // namespace

void write_npy(const std::filesystem::path& path, std::span<const std::int32_t> values,
               const std::vector<std::int64_t>& shape) {
  write_array(path, "<i4", values.data(), values.size(), sizeof(std::int32_t), shape);
}

void write_npy(const std::filesystem::path& path, std::span<const float> values,
               const std::vector<std::int64_t>& shape) {
  write_array(path, "<f4", values.data(), values.size(), sizeof(float), shape);
}

}  // namespace qnudge
