// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "onnx_tensor.hpp"
#include "qnudge/model/index_map.hpp"

namespace qnudge {

/// An integer that may depend on the number of samples: base + slope * N, N >= 1.
struct Affine {
  std::int64_t base = 0, slope = 0;
  bool fixed() const { return slope == 0; }
  friend bool operator==(const Affine&, const Affine&) = default;
};

/// A tensor whose values are known at import: read from the model or computed from what is. Its values are the same for
/// every sample, so an axis with the samples (symbolic ones) is held once.
struct Known {
  enum class Type { real, integer, boolean };
  Type type = Type::real;
  Extents dims;
  std::vector<float> reals;      ///< type real: as many as elements(dims), row-major
  std::vector<Affine> integers;  ///< other types
  bool is_real() const { return type == Type::real; }
  std::int64_t size() const { return elements(dims); }
};
using KnownPtr = std::shared_ptr<const Known>;

Known read_known(const StoredTensor& tensor);
Known known_integers(std::vector<std::int64_t> dims, std::vector<Affine> values);

/// `map` applied to the storage of `from`: the elements that it names, in their order.
Known gather(const Known& from, const IndexMap& map);
/// The elements at `places`, with the extents `dims`.
Known gather(const Known& from, const std::vector<std::int64_t>& places, Extents dims);

/// Concrete values and extents. Refuses (unsupported) what depends on the number of samples.
IntegerTensor fixed_integers(const Known& known, std::string_view role);
/// As floats, whatever the type; an infinite value is refused unless allowed.
FloatTensor fixed_floats(const Known& known, std::string_view role);

/// -1, 0 or 1: the sign of a value for every N >= 1. Refuses (unsupported) what only N decides.
int sign_of(const Affine& value);
Affine operator+(const Affine& a, const Affine& b);
Affine operator-(const Affine& a, const Affine& b);
Affine operator*(const Affine& a, const Affine& b);
/// Rounded towards zero as ONNX does, and the remainder with the sign of the divisor (`fmod`: of the dividend).
Affine operator/(const Affine& a, const Affine& b);
Affine modulo(const Affine& a, const Affine& b, bool fmod);

}  // namespace qnudge
