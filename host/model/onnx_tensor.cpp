// SPDX-License-Identifier: MIT
#include "onnx_tensor.hpp"

#include <fmt/ranges.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "refusal.hpp"

namespace qnudge {
namespace {

using onnx::TensorProto;

std::string type_name(const TensorProto& tensor) {
  return TensorProto::DataType_IsValid(tensor.data_type())
             ? TensorProto::DataType_Name(static_cast<TensorProto::DataType>(tensor.data_type()))
             : fmt::format("type {}", tensor.data_type());
}

/// Product of the extents, saturated: a claim beyond 2^62 cannot match any file.
std::int64_t claimed_elements(const TensorProto& tensor) {
  constexpr std::int64_t kMany = std::int64_t{1} << 62;
  std::int64_t count = 1;
  for (const std::int64_t extent : tensor.dims()) {
    check(extent >= 0, "tensor '{}' has the negative extent {}", printable(tensor.name()), extent);
    count = extent != 0 && count > kMany / extent ? kMany : count * extent;
  }
  return count;
}

void check_storage(const TensorProto& tensor) {
  const std::string name = printable(tensor.name());
  check_supported(tensor.data_location() != TensorProto::EXTERNAL && tensor.external_data_size() == 0,
                  "tensor '{}' is stored in an external file; save the model as a single file", name);
  check(!tensor.has_segment(), "tensor '{}' is stored in segments, which ONNX models must not use", name);
}

void check_count(const TensorProto& tensor, std::uint64_t held) {
  check(static_cast<std::uint64_t>(claimed_elements(tensor)) == held,
        "tensor '{}' claims the shape {} but holds {} {} values", printable(tensor.name()),
        format_dims({tensor.dims().begin(), tensor.dims().end()}), held, type_name(tensor));
}

/// Decodes raw little-endian elements of type `Stored`, or else the typed field, element by element.
template <class Stored, class Value, class Field, class Convert>
std::vector<Value> decode(const TensorProto& tensor, const Field& field, Convert convert) {
  check_storage(tensor);
  const std::string& raw = tensor.raw_data();
  check(!tensor.has_raw_data() || (field.empty() && raw.size() % sizeof(Stored) == 0),
        "tensor '{}' holds {} raw bytes and {} typed values, which is not one {} array", printable(tensor.name()),
        raw.size(), field.size(), type_name(tensor));
  const std::size_t held = tensor.has_raw_data() ? raw.size() / sizeof(Stored) : static_cast<std::size_t>(field.size());
  check_count(tensor, held);
  std::vector<Value> values(held);
  for (std::size_t i = 0; i < held; ++i) {
    Stored element{};
    if (tensor.has_raw_data()) {
      std::memcpy(&element, raw.data() + i * sizeof(Stored), sizeof(Stored));
    } else {
      element = static_cast<Stored>(field[static_cast<int>(i)]);
    }
    values[i] = convert(element);
  }
  return values;
}

float half_to_float(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const int mantissa = half & 1023;
  float magnitude = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  if (exponent == 0) magnitude = std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) {
    magnitude = mantissa == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  }
  return (half & 0x8000) != 0 ? -magnitude : magnitude;
}

/// A double beyond the range of float becomes infinite, which the caller refuses.
float narrow(double value) {
  if (std::abs(value) <= std::numeric_limits<float>::max()) return static_cast<float>(value);
  if (std::isnan(value)) return std::numeric_limits<float>::quiet_NaN();
  return value > 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
}

std::vector<float> decode_floats(const TensorProto& tensor) {
  switch (tensor.data_type()) {
    case TensorProto::FLOAT:
      return decode<float, float>(tensor, tensor.float_data(), [](float v) { return v; });
    case TensorProto::FLOAT16:
      return decode<std::uint16_t, float>(tensor, tensor.int32_data(), half_to_float);
    case TensorProto::DOUBLE:
      return decode<double, float>(tensor, tensor.double_data(), narrow);
    default:
      unsupported("tensor '{}' is {}; FLOAT, FLOAT16 or DOUBLE is needed", printable(tensor.name()), type_name(tensor));
  }
}

std::vector<std::int64_t> decode_integers(const TensorProto& tensor) {
  switch (tensor.data_type()) {
    case TensorProto::INT64:
      return decode<std::int64_t, std::int64_t>(tensor, tensor.int64_data(), [](std::int64_t v) { return v; });
    case TensorProto::INT32:
      return decode<std::int32_t, std::int64_t>(tensor, tensor.int32_data(), [](std::int32_t v) { return v; });
    case TensorProto::BOOL:
      return decode<std::uint8_t, std::int64_t>(tensor, tensor.int32_data(), [](std::uint8_t v) { return v != 0; });
    default:
      malformed("tensor '{}' is {}; INT64 is needed", printable(tensor.name()), type_name(tensor));
  }
}

}  // namespace

FloatTensor read_floats(const TensorProto& tensor, NonFinite non_finite) {
  FloatTensor read{{tensor.dims().begin(), tensor.dims().end()}, decode_floats(tensor)};
  for (std::size_t i = 0; i < read.values.size(); ++i) {
    const float value = read.values[i];
    check(std::isfinite(value) || (non_finite == NonFinite::allow && !std::isnan(value)),
          "tensor '{}' holds {} at index {}; finite values are needed", printable(tensor.name()), value, i);
  }
  return read;
}

IntegerTensor read_integers(const TensorProto& tensor) {
  return {{tensor.dims().begin(), tensor.dims().end()}, decode_integers(tensor)};
}

std::string format_dims(const std::vector<std::int64_t>& dims) {
  return fmt::format("[{}]", fmt::join(dims, ", "));
}

}  // namespace qnudge
