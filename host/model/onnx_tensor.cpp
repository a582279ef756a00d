// SPDX-License-Identifier: MIT
#include "onnx_tensor.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>

#include "refusal.hpp"

namespace qnudge {
namespace {

using onnx::TensorProto;

constexpr std::int64_t kPart = std::int64_t{1} << 16;  ///< elements handed out at once

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
    if (extent < 0) malformed("tensor '{}' has the negative extent {}", printable(tensor.name()), extent);
    count = extent != 0 && count > kMany / extent ? kMany : count * extent;
  }
  return count;
}

/// Calls `visit(field, Stored{})` with the typed field of the tensor's type and the type of a raw element.
template <class Visit>
auto with_type(const TensorProto& t, Visit visit) {
  switch (t.data_type()) {
    case TensorProto::FLOAT:
      return visit(t.float_data(), float{});
    case TensorProto::DOUBLE:
      return visit(t.double_data(), double{});
    case TensorProto::FLOAT16:
    case TensorProto::BFLOAT16:
    case TensorProto::UINT16:
      return visit(t.int32_data(), std::uint16_t{});
    case TensorProto::INT64:
      return visit(t.int64_data(), std::int64_t{});
    case TensorProto::INT32:
      return visit(t.int32_data(), std::int32_t{});
    case TensorProto::INT16:
      return visit(t.int32_data(), std::int16_t{});
    case TensorProto::INT8:
      return visit(t.int32_data(), std::int8_t{});
    case TensorProto::UINT8:
    case TensorProto::BOOL:
      return visit(t.int32_data(), std::uint8_t{});
    case TensorProto::UINT32:
      return visit(t.uint64_data(), std::uint32_t{});
    default:
      unsupported("tensor '{}' is {}; numbers of 8 to 64 bits are needed", printable(t.name()), type_name(t));
  }
}

bool has_raw(const StoredTensor& tensor) {
  return tensor.raw.file != nullptr || tensor.proto->has_raw_data();
}

/// Hands out the elements in their stored type, a part at a time; the tensor has been checked.
template <class Take>
void visit_stored(const StoredTensor& tensor, Take take) {
  const std::int64_t count = claimed_elements(*tensor.proto);
  with_type(*tensor.proto, [&](const auto& field, auto zero) {
    using Stored = decltype(zero);
    std::vector<Stored> part;
    for (std::int64_t first = 0; first < count; first += kPart) {
      const auto n = static_cast<std::size_t>(std::min(kPart, count - first));
      part.resize(n);
      const std::int64_t offset = first * static_cast<std::int64_t>(sizeof(Stored));
      if (tensor.raw.file) {
        tensor.raw.file->read(tensor.raw.offset + offset, part.data(), n * sizeof(Stored));
      } else if (tensor.proto->has_raw_data()) {
        std::memcpy(part.data(), tensor.proto->raw_data().data() + offset, n * sizeof(Stored));
      } else {
        std::transform(field.begin() + first, field.begin() + first + static_cast<std::int64_t>(n), part.begin(),
                       [](auto value) { return static_cast<Stored>(value); });
      }
      take(first, part);
    }
  });
}

float half_to_float(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const std::uint32_t sign = (half & 0x8000u) << 16, mantissa = half & 1023u;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t biased = exponent == 31 ? 255u : static_cast<std::uint32_t>(exponent) + 112u;
  return std::bit_cast<float>(sign | biased << 23 | mantissa << 13);
}

/// A double beyond the range of float becomes infinite, which the caller refuses.
float narrow(double value) {
  if (std::abs(value) <= std::numeric_limits<float>::max()) return static_cast<float>(value);
  if (std::isnan(value)) return std::numeric_limits<float>::quiet_NaN();
  return value > 0 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity();
}

void check_storage(const StoredTensor& tensor) {
  const TensorProto& t = *tensor.proto;
  if (t.has_segment()) {
    malformed("tensor '{}' is stored in segments, which ONNX models must not use", printable(t.name()));
  }
  const bool external = t.data_location() == TensorProto::EXTERNAL || t.external_data_size() > 0;
  if (external && !tensor.raw.file) {
    unsupported("tensor '{}' is stored in an external file, but is no initializer", printable(t.name()));
  }
}

}  // namespace

bool is_float(const StoredTensor& tensor) {
  const int type = tensor.proto->data_type();
  return type == TensorProto::FLOAT || type == TensorProto::FLOAT16 || type == TensorProto::BFLOAT16 ||
         type == TensorProto::DOUBLE;
}

std::vector<std::int64_t> dims_of(const StoredTensor& tensor) {
  return {tensor.proto->dims().begin(), tensor.proto->dims().end()};
}

std::int64_t checked_elements(const StoredTensor& tensor) {
  check_storage(tensor);
  const TensorProto& t = *tensor.proto;
  const std::int64_t claimed = claimed_elements(t);
  with_type(t, [&](const auto& field, auto zero) {
    const std::int64_t raw = tensor.raw.file ? tensor.raw.bytes : static_cast<std::int64_t>(t.raw_data().size());
    const auto size = static_cast<std::int64_t>(sizeof(zero));
    if (has_raw(tensor) && (!field.empty() || raw % size != 0)) {
      malformed("tensor '{}' holds {} raw bytes and {} typed values, which is not one {} array", printable(t.name()),
                raw, field.size(), type_name(t));
    }
    const std::int64_t held = has_raw(tensor) ? raw / size : field.size();
    if (claimed != held) {
      malformed("tensor '{}' claims the shape {} but holds {} {} values", printable(t.name()),
                format_dims(dims_of(tensor)), held, type_name(t));
    }
  });
  return claimed;
}

void visit_floats(const StoredTensor& tensor, NonFinite non_finite,
                  const std::function<void(std::int64_t, std::span<const float>)>& take) {
  checked_elements(tensor);
  const TensorProto& t = *tensor.proto;
  if (!is_float(tensor)) {
    unsupported("tensor '{}' is {}; FLOAT, FLOAT16, BFLOAT16 or DOUBLE is needed", printable(t.name()), type_name(t));
  }
  const bool brain = t.data_type() == TensorProto::BFLOAT16;
  std::vector<float> converted;
  visit_stored(tensor, [&](std::int64_t first, const auto& part) {
    using Stored = typename std::decay_t<decltype(part)>::value_type;
    std::span<const float> values;
    if constexpr (std::is_same_v<Stored, float>) {
      values = part;
    } else {
      converted.resize(part.size());
      std::ranges::transform(part, converted.begin(), [&](Stored value) {
        if constexpr (std::is_same_v<Stored, double>) return narrow(value);
        const auto bits = static_cast<std::uint16_t>(value);
        return brain ? std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16) : half_to_float(bits);
      });
      values = converted;
    }
    const auto bad = std::ranges::find_if(values, [&](float value) {
      return !std::isfinite(value) && (non_finite == NonFinite::refuse || std::isnan(value));
    });
    if (bad != values.end()) {
      malformed("tensor '{}' holds {} at index {}; finite values are needed", printable(t.name()), *bad,
                first + (bad - values.begin()));
    }
    take(first, values);
  });
}

FloatTensor read_floats(const StoredTensor& tensor, NonFinite non_finite) {
  FloatTensor read{dims_of(tensor), {}};
  read.values.reserve(static_cast<std::size_t>(checked_elements(tensor)));
  visit_floats(tensor, non_finite, [&](std::int64_t, std::span<const float> part) {
    read.values.insert(read.values.end(), part.begin(), part.end());
  });
  return read;
}

IntegerTensor read_integers(const StoredTensor& tensor) {
  IntegerTensor read{dims_of(tensor), {}};
  const auto count = static_cast<std::size_t>(checked_elements(tensor));
  if (is_float(tensor)) {
    malformed("tensor '{}' is {}; INT64 is needed", printable(tensor.proto->name()), type_name(*tensor.proto));
  }
  read.values.reserve(count);
  const bool boolean = tensor.proto->data_type() == TensorProto::BOOL;
  visit_stored(tensor, [&](std::int64_t, const auto& part) {
    for (const auto value : part) {
      read.values.push_back(boolean ? static_cast<std::int64_t>(value != 0) : static_cast<std::int64_t>(value));
    }
  });
  return read;
}

std::string format_dims(const std::vector<std::int64_t>& dims) {
  return fmt::format("[{}]", fmt::join(dims, ", "));
}

}  // namespace qnudge
