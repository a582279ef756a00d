// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "qnudge/quant/network.hpp"

namespace qnudge {

/// `write(onnx_index, krsc_index)` for every weight, linear in ONNX's layout for the layer: Gemm [K, C*H*W] (transB),
/// Conv [K, C/g, R, S], ConvTranspose [C, K/g, R, S] with the filter flipped back.
void for_each_weight(const Layer& layer, const std::function<void(std::size_t, std::size_t)>& write);

/// Extents of that layout; one window axis fewer where the network is one-dimensional.
std::vector<std::int64_t> onnx_weight_dims(const Layer& layer, int spatial_rank);

/// True where the layer is written in units of its accumulator, followed by a Mul with its scales: ONNX Runtime runs it
/// in float, and so every number before the Mul is an integer times a power of two, exact in any order of summation.
bool needs_unit_form(const Layer& layer, bool float_output);

/// What the layer's node says of the grid, and back; false for any other text.
std::string describe_grid(const Layer& layer);
bool parse_grid(const std::string& text, Layer& layer);

/// What a Cast to half says of the scale that its node's values have in the network, and back; false for other text.
std::string describe_units(int exponent);
bool parse_units(const std::string& text, int& exponent);

/// Marks nodes that belong to node `name` and have no counterpart in the integer network.
std::string part_of(const std::string& name);

/// Marks nodes of a primitive that ONNX spells by several, but for the one that stands for all.
std::string step_of(const std::string& name);
bool is_step(const std::string& text);

}  // namespace qnudge
