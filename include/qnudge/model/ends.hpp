// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace onnx {
class ModelProto;
}

namespace qnudge {

/// What a model file has around the network. Samples and results of the network are NHWC; a file written for it sees
/// [N, C, H, W] or [N, C, L] at both ends and may then be wrapped in what the original had instead.
struct Ends {
  /// An operator behind the scores that keeps their order: Softmax, LogSoftmax, Sigmoid or ArgMax.
  struct Head {
    std::string type, name;
    std::int64_t axis = 1;  ///< not of a Sigmoid
    bool keepdims = true;   ///< of an ArgMax
    friend bool operator==(const Head&, const Head&) = default;
  };
  bool input_channels_last = false;   ///< the input is [N, H, W, C] or [N, L, C]
  bool input_matrix = false;          ///< the input is [N, C]
  bool output_channels_last = false;  ///< the output is [N, H, W, C] or [N, L, C]
  std::vector<Head> head;             ///< in order, behind the network

  bool plain() const { return *this == Ends{}; }
  friend bool operator==(const Ends&, const Ends&) = default;
};

/// Adds the ends to a model that has none; the names of its input and output stay.
void wrap_ends(onnx::ModelProto& model, const Ends& ends);
/// Takes them off again, so that the model is as before. Throws Error(kind input) where they are not as `wrap_ends`
/// adds them.
Ends unwrap_ends(onnx::ModelProto& model);

}  // namespace qnudge
