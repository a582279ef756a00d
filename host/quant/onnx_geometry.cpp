// SPDX-License-Identifier: MIT
#include "onnx_geometry.hpp"

#include <algorithm>
#include <utility>

#include "onnx_reader.hpp"

namespace qnudge {
namespace {

constexpr std::int64_t kMaxExtent = 1 << 24, kMaxTensor = 1 << 26;  // elements of one sample
constexpr std::int64_t kTapLimit = 131072;

/// From ONNX's padding and stride of a transposed convolution to those of the equivalent correlation.
void spread(const onnx::NodeProto& from, std::size_t rank, ConvGeometry& g) {
  const auto extra = read_integers(from, "output_padding", rank, 0);
  Window& w = g.window;
  g.spread_h = std::exchange(w.stride_h, 1);
  w.pad_top = w.dilation_h * (w.r - 1) - w.pad_top;
  w.pad_bottom = w.dilation_h * (w.r - 1) - w.pad_bottom + extra[0];
  if (rank == 1) return;
  g.spread_w = std::exchange(w.stride_w, 1);
  w.pad_left = w.dilation_w * (w.s - 1) - w.pad_left;
  w.pad_right = w.dilation_w * (w.s - 1) - w.pad_right + extra[1];
}

}  // namespace

void check_shape(const Shape& s) {
  const auto fits = [](std::int64_t extent) { return extent >= 1 && extent <= kMaxExtent; };
  require(fits(s.h) && fits(s.w) && fits(s.c) && s.h * s.w <= kMaxTensor && s.size() <= kMaxTensor, ErrorKind::input,
          "a tensor has {} x {} x {} values per sample; 1 to 2^26 are supported", s.h, s.w, s.c);
}

Window read_window(const onnx::NodeProto& from, std::size_t rank, std::int64_t r, std::int64_t s) {
  const auto dilations = read_integers(from, "dilations", rank, 1), strides = read_integers(from, "strides", rank, 1);
  const auto pads = read_integers(from, "pads", 2 * rank, 0);
  Window w;
  w.r = r;
  w.dilation_h = std::max<std::int64_t>(1, dilations[0]);
  w.stride_h = std::max<std::int64_t>(1, strides[0]);
  w.pad_top = pads[0];
  w.pad_bottom = pads[rank];
  if (rank == 1) return w;
  w.s = s;
  w.dilation_w = std::max<std::int64_t>(1, dilations[1]);
  w.stride_w = std::max<std::int64_t>(1, strides[1]);
  w.pad_left = pads[1];
  w.pad_right = pads[3];
  return w;
}

void read_geometry(const onnx::NodeProto& from, const std::vector<std::int64_t>& dims, std::size_t rank, Layer& layer) {
  require(dims.size() == (layer.gemm ? 2 : rank + 2), ErrorKind::input, "its weights have rank {}", dims.size());
  for (const std::int64_t extent : dims) {
    require(extent >= 1 && extent <= kMaxExtent, ErrorKind::input, "its weights have an extent of {}", extent);
  }
  const std::int64_t groups = layer.gemm ? 1 : read_integer(from, "group", 1);
  const std::int64_t r = layer.gemm ? layer.in.h : dims[2], s = layer.gemm ? layer.in.w : rank == 2 ? dims[3] : 1;
  require(groups >= 1 && r <= kTapLimit && s <= kTapLimit, ErrorKind::input, "its groups or window do not fit");
  layer.conv.groups = groups;
  layer.filter = {dims[0], r, s, layer.gemm ? layer.in.c : dims[1]};
  if (layer.conv.transposed) layer.filter = {dims[1] * groups, r, s, dims[0] / groups};
  const FilterShape& f = layer.filter;
  require(f.c * groups == layer.in.c && f.k % groups == 0 && (!layer.conv.transposed || dims[0] == layer.in.c) &&
              r * s <= kTapLimit && f.taps() < kTapLimit && (!layer.gemm || dims[1] == f.taps()),
          ErrorKind::input, "its weights do not fit its input of {} x {} x {}", layer.in.h, layer.in.w, layer.in.c);
  layer.conv.window = layer.gemm ? Window{} : read_window(from, rank, r, s);
  layer.conv.window.r = r;
  layer.conv.window.s = s;
  if (layer.conv.transposed) spread(from, rank, layer.conv);
  layer.out = slide(layer.in, layer.conv.window, f.k, layer.conv.spread_h, layer.conv.spread_w);
}

}  // namespace qnudge
