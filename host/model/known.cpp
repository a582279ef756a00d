// SPDX-License-Identifier: MIT
#include "known.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "refusal.hpp"

namespace qnudge {
namespace {

constexpr std::string_view kDependsOnBatch = "depends on the number of samples in a way that cannot be known at import";

constexpr std::string_view kOverflow = "an integer of its shape arithmetic leaves the range of 64 bits";

std::int64_t sum(std::int64_t a, std::int64_t b) {
  std::int64_t value = 0;
  check(!__builtin_add_overflow(a, b, &value), "{}", kOverflow);
  return value;
}
std::int64_t product(std::int64_t a, std::int64_t b) {
  std::int64_t value = 0;
  check(!__builtin_mul_overflow(a, b, &value), "{}", kOverflow);
  return value;
}

std::vector<std::int64_t> fixed_dims(const Known& known, std::string_view role) {
  std::vector<std::int64_t> dims;
  for (const Extent& extent : known.dims) {
    check_supported(!extent.batch, "the {} have the shape {}; one that does not depend on the samples is needed", role,
                    format_extents(known.dims));
    dims.push_back(extent.count);
  }
  return dims;
}

template <class T>
std::vector<T> pick(const std::vector<T>& from, const std::vector<std::int64_t>& places) {
  std::vector<T> picked;
  picked.reserve(places.size());
  for (const std::int64_t place : places) picked.push_back(from[static_cast<std::size_t>(place)]);
  return picked;
}

}  // namespace

Known read_known(const StoredTensor& tensor) {
  Known known;
  for (const std::int64_t extent : dims_of(tensor)) known.dims.push_back({extent});
  if (is_float(tensor)) {
    known.reals = read_floats(tensor, NonFinite::allow).values;
    return known;
  }
  known.type = tensor.proto->data_type() == onnx::TensorProto::BOOL ? Known::Type::boolean : Known::Type::integer;
  const IntegerTensor read = read_integers(tensor);
  for (const std::int64_t value : read.values) known.integers.push_back({value});
  return known;
}

Known known_integers(std::vector<std::int64_t> dims, std::vector<Affine> values) {
  Known known;
  known.type = Known::Type::integer;
  for (const std::int64_t extent : dims) known.dims.push_back({extent});
  known.integers = std::move(values);
  return known;
}

Known gather(const Known& from, const std::vector<std::int64_t>& places, Extents dims) {
  Known result;
  result.type = from.type;
  result.dims = std::move(dims);
  if (from.is_real()) {
    result.reals = pick(from.reals, places);
  } else {
    result.integers = pick(from.integers, places);
  }
  return result;
}

Known gather(const Known& from, const IndexMap& map) {
  return gather(from, map.places(), map.dims());
}

IntegerTensor fixed_integers(const Known& known, std::string_view role) {
  check(!known.is_real(), "the {} are no integers", role);
  IntegerTensor fixed{fixed_dims(known, role), {}};
  for (const Affine& value : known.integers) {
    check_supported(value.fixed(), "one of the {} {}", role, kDependsOnBatch);
    fixed.values.push_back(value.base);
  }
  return fixed;
}

FloatTensor fixed_floats(const Known& known, std::string_view role) {
  FloatTensor fixed{fixed_dims(known, role), known.reals};
  for (const Affine& value : known.integers) {
    check_supported(value.fixed(), "one of the {} {}", role, kDependsOnBatch);
    fixed.values.push_back(static_cast<float>(value.base));
  }
  return fixed;
}

int sign_of(const Affine& value) {
  const auto sign = [](std::int64_t v) { return v > 0 ? 1 : v < 0 ? -1 : 0; };
  const int first = sign(sum(value.base, value.slope));  // at N = 1; the slope says where it goes from there
  check_supported(sign(value.slope) == 0 || (first != 0 && first == sign(value.slope)), "a comparison {}",
                  kDependsOnBatch);
  return first;
}

Affine operator+(const Affine& a, const Affine& b) {
  return {sum(a.base, b.base), sum(a.slope, b.slope)};
}

Affine operator-(const Affine& a, const Affine& b) {
  return a + b * Affine{-1};
}

Affine operator*(const Affine& a, const Affine& b) {
  check_supported(a.fixed() || b.fixed(), "a product {}", kDependsOnBatch);
  const Affine& varying = a.fixed() ? b : a;
  const std::int64_t factor = a.fixed() ? a.base : b.base;
  return {product(varying.base, factor), product(varying.slope, factor)};
}

Affine operator/(const Affine& a, const Affine& b) {
  if (a == b && !b.fixed()) return {1};
  if (a.base == 0 && b.base == 0 && b.slope > 0 && a.slope % b.slope == 0) return {a.slope / b.slope};
  check_supported(b.fixed(), "a quotient {}", kDependsOnBatch);
  check(b.base != 0, "its shape arithmetic divides by 0");
  if (b.base == -1) return a * b;  // or the smallest integer would overflow
  check_supported(a.fixed() || (a.base % b.base == 0 && a.slope % b.base == 0), "a quotient {}", kDependsOnBatch);
  return {a.base / b.base, a.slope / b.base};
}

Affine modulo(const Affine& a, const Affine& b, bool fmod) {
  check_supported(b.fixed(), "a remainder {}", kDependsOnBatch);
  check(b.base != 0, "its shape arithmetic divides by 0");
  if (b.base == -1) return {0};
  check_supported(a.fixed() || (a.slope % b.base == 0 && a.base % b.base == 0), "a remainder {}", kDependsOnBatch);
  const std::int64_t rest = a.base % b.base;
  return {!fmod && rest != 0 && (rest < 0) != (b.base < 0) ? rest + b.base : rest};
}

}  // namespace qnudge
