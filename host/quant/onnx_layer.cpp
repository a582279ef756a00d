// SPDX-License-Identifier: MIT
#include "onnx_layer.hpp"

#include <fmt/format.h>

#include "qnudge/quant/quantise.hpp"

namespace qnudge {
namespace {

void for_each_conv_weight(const Layer& layer, const std::function<void(std::size_t, std::size_t)>& write) {
  const FilterShape& f = layer.filter;
  std::size_t at = 0;
  for (std::int64_t k = 0; k < f.k; ++k) {
    for (std::int64_t c = 0; c < f.c; ++c) {
      for (std::int64_t rs = 0; rs < f.r * f.s; ++rs) {
        write(at++, static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c));
      }
    }
  }
}

void for_each_transposed_weight(const Layer& layer, const std::function<void(std::size_t, std::size_t)>& write) {
  const FilterShape& f = layer.filter;
  const std::int64_t group_k = f.k / layer.conv.groups, window = f.r * f.s;
  std::size_t at = 0;
  for (std::int64_t in = 0; in < f.c * layer.conv.groups; ++in) {
    for (std::int64_t kk = 0; kk < group_k; ++kk) {
      const std::int64_t k = in / f.c * group_k + kk;
      for (std::int64_t rs = 0; rs < window; ++rs) {
        write(at++, static_cast<std::size_t>((k * window + window - 1 - rs) * f.c + in % f.c));
      }
    }
  }
}

}  // namespace

void for_each_weight(const Layer& layer, const std::function<void(std::size_t, std::size_t)>& write) {
  if (layer.conv.transposed) return for_each_transposed_weight(layer, write);
  for_each_conv_weight(layer, write);  // a Gemm's rows run over C, H, W, which is the same order
}

std::vector<std::int64_t> onnx_weight_dims(const Layer& layer, int spatial_rank) {
  const FilterShape& f = layer.filter;
  if (layer.gemm) return {f.k, f.taps()};
  std::vector<std::int64_t> dims{f.k, f.c, f.r};
  if (layer.conv.transposed) dims = {f.c * layer.conv.groups, f.k / layer.conv.groups, f.r};
  if (spatial_rank == 2) dims.push_back(f.s);
  return dims;
}

bool needs_unit_form(const Layer& layer, bool float_output) {
  return layer.conv.transposed || (float_output && !layer.gemm);
}

std::string describe_grid(const Layer& layer) {
  return fmt::format("{} bits{}", layer.params.bits, layer.tunable ? "" : ", fixed");
}

bool parse_grid(const std::string& text, Layer& layer) {
  for (const int bits : {2, 3, 4, 5, 6, 7, 8, kHalfBits}) {
    layer.params.bits = bits;
    for (const bool tunable : {true, false}) {
      layer.tunable = tunable;
      if (text == describe_grid(layer)) return true;
    }
  }
  return false;
}

std::string describe_units(int exponent) {
  return fmt::format("in units of 2^{}", exponent);
}

bool parse_units(const std::string& text, int& exponent) {
  for (exponent = -kExponentLimit; exponent <= kExponentLimit; ++exponent) {
    if (text == describe_units(exponent)) return true;
  }
  return false;
}

std::string part_of(const std::string& name) {
  return "part of " + name;
}

std::string step_of(const std::string& name) {
  return "step of " + name;
}

bool is_step(const std::string& text) {
  return text.starts_with("step of ");
}

}  // namespace qnudge
