// SPDX-License-Identifier: MIT
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <vector>

namespace qnudge {

struct FloatTensor {
  std::vector<std::int64_t> dims;  ///< empty: a scalar
  std::vector<float> values;       ///< as many as the product of `dims`, row-major
};

struct IntegerTensor {
  std::vector<std::int64_t> dims;
  std::vector<std::int64_t> values;
};

enum class NonFinite { refuse, allow };

/// The values of a float32, float16 or double tensor, as float32. Refusal (malformed): claimed extents that differ from
/// the data held (checked before anything is allocated), NaN, or infinity unless allowed; (unsupported): other types,
/// external data.
FloatTensor read_floats(const onnx::TensorProto& tensor, NonFinite non_finite = NonFinite::refuse);

/// The values of an int64, int32 or bool tensor. Refuses as `read_floats` does.
IntegerTensor read_integers(const onnx::TensorProto& tensor);

/// "[2, 3]".
std::string format_dims(const std::vector<std::int64_t>& dims);

}  // namespace qnudge
