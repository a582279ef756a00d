// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "importer.hpp"

namespace qnudge {

/// f(x) of an activation without padding, still pending; parameters: of f, one value per channel of the node of x.
Value apply_function(Builder& b, const std::string& name, const Value& x, const ScalarFunction& f,
                     const ChannelValues& parameters = {});

/// An activation with a constant that has a value of its own for each element; first: the constant is the left operand.
Value combine_with_tensor(Builder& b, const std::string& name, CombineKind kind, const Value& x,
                          const FloatTensor& constant, bool first);

/// A constant of extents `dims` as an activation, made of an element of `like` on which it does not depend.
Value as_activation(Builder& b, const std::string& name, const Value& like, const Value& constant, const Extents& dims);

/// Elements before and behind every axis.
using Pads = std::vector<std::pair<std::int64_t, std::int64_t>>;
/// x with that many elements of the value `fill` around it.
Value padded_with(Builder& b, const std::string& name, const Value& x, const Pads& pads, float fill);
/// x with the zeros around it that no window takes as elements.
Value without_padding(Builder& b, const std::string& name, const Value& x);

/// Places of an axis as few pieces: repetitions of one element, or runs.
std::vector<Builder::Piece> pieces_of(const std::vector<std::int64_t>& places);

/// A constant as a function that does not look at x, with a parameter where it has one value per channel.
struct ConstantFunction {
  ScalarFunction function;
  ChannelValues parameters;
};
/// Nothing if the constant, broadcast to x, is neither one value nor one per channel of the node of x.
std::optional<ConstantFunction> per_channel(Builder& b, const Value& x, const FloatTensor& constant);

}  // namespace qnudge
