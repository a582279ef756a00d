// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "onnx_file.hpp"

namespace qnudge {

/// A constant of the model, not yet read: its description, and where its bytes are.
struct StoredTensor {
  const onnx::TensorProto* proto = nullptr;
  FileRange raw;  ///< no file: the values are in `proto`
};

struct FloatTensor {
  std::vector<std::int64_t> dims;  ///< empty: a scalar
  std::vector<float> values;       ///< as many as the product of `dims`, row-major
};

struct IntegerTensor {
  std::vector<std::int64_t> dims;
  std::vector<std::int64_t> values;
};

enum class NonFinite { refuse, allow };

/// True for types that `read_floats` reads; false for those of `read_integers` and for all others.
bool is_float(const StoredTensor& tensor);
std::vector<std::int64_t> dims_of(const StoredTensor& tensor);

/// Elements of a tensor whose claimed extents equal the data it holds. Refusal (malformed) otherwise, before anything
/// is allocated; (unsupported): a type that is neither float nor integer.
std::int64_t checked_elements(const StoredTensor& tensor);

/// Hands out the values of a float32, float16, bfloat16 or double tensor as float32, in order, a part at a time:
/// `take(index of the first, values)`. Refuses as `checked_elements` does, and (malformed) NaN, or infinity unless
/// allowed.
void visit_floats(const StoredTensor& tensor, NonFinite non_finite,
                  const std::function<void(std::int64_t, std::span<const float>)>& take);

/// The same as one array.
FloatTensor read_floats(const StoredTensor& tensor, NonFinite non_finite = NonFinite::refuse);

/// The values of an integer or bool tensor. Refuses as `read_floats` does.
IntegerTensor read_integers(const StoredTensor& tensor);

/// "[2, 3]".
std::string format_dims(const std::vector<std::int64_t>& dims);

}  // namespace qnudge
