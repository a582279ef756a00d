// SPDX-License-Identifier: MIT
// Operators with weights, and BatchNormalization.
#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "importer.hpp"
#include "refusal.hpp"
#include "window_import.hpp"

namespace qnudge {
namespace {

void check_finite(const std::vector<float>& values, std::string_view what) {
  for (const float value : values) check(std::isfinite(value), "{} overflows float32", what);
}

/// Extents of the weights of a convolution: [A, B, window...], none of them empty.
std::vector<std::int64_t> filter_dims(const NodeView& view, std::size_t spatial_rank) {
  std::vector<std::int64_t> dims = view.constant_dims(1, "weights");
  check_supported(dims.size() == spatial_rank + 2, "the weights have the shape {}; rank {} is needed",
                  format_dims(dims), spatial_rank + 2);
  check(std::ranges::all_of(dims, [](std::int64_t extent) { return extent > 0; }),
        "the weights have the empty shape {}", format_dims(dims));
  return dims;
}

/// Axes of a tensor as it is stored (extent), and how far apart their elements shall lie in memory (stride).
using Layout = std::vector<IndexMap::Factor>;

/// Steps to the next run of the innermost axis; returns where it begins in memory.
class RunCursor {
 public:
  explicit RunCursor(const Layout& layout) : layout_(layout), index_(layout.size(), 0) {}
  std::int64_t start() const { return start_; }
  void next() {
    for (std::size_t i = layout_.size() - 1; i-- > 0;) {
      start_ += layout_[i].stride;
      if (++index_[i] < layout_[i].extent) return;
      start_ -= layout_[i].stride * layout_[i].extent;
      index_[i] = 0;
    }
  }

 private:
  const Layout& layout_;
  std::vector<std::int64_t> index_;
  std::int64_t start_ = 0;
};

/// All values of input 1 times `factor`, in that layout; checked, but not kept, where the builder keeps none.
std::vector<float> read_weights(const Builder& b, const NodeView& view, const Layout& to, float factor = 1) {
  std::int64_t count = 1;
  for (const IndexMap::Factor& axis : to) count *= axis.extent;
  std::vector<float> weights(b.keep_weights ? static_cast<std::size_t>(count) : 0);
  RunCursor run(to);
  const std::int64_t inner = to.back().extent, stride = to.back().stride;
  std::int64_t k = 0;
  view.visit(1, "weights", [&](std::int64_t, std::span<const float> part) {
    if (factor != 1) {
      const bool finite = std::ranges::all_of(part, [&](float value) { return std::isfinite(value * factor); });
      check(finite, "alpha times the weights overflows float32");
    }
    if (weights.empty()) return;
    for (std::size_t at = 0; at < part.size();) {
      float* const row = weights.data() + run.start();
      const std::int64_t end = std::min(inner, k + static_cast<std::int64_t>(part.size() - at));
      for (; k < end; ++k) row[k * stride] = part[at++] * factor;
      if (k < inner) continue;
      k = 0;
      run.next();
    }
  });
  return weights;
}

std::vector<float> read_bias(const NodeView& view, std::int64_t channels) {
  if (!view.has(2)) return std::vector<float>(static_cast<std::size_t>(channels), 0.0f);
  FloatTensor bias = view.floats(2, "bias values");
  check(bias.dims == std::vector<std::int64_t>{channels}, "the bias has the shape {}; [{}] is needed",
        format_dims(bias.dims), channels);
  return std::move(bias.values);
}

/// `group` as given; it must divide both channel counts.
std::int64_t read_groups(NodeView& view, std::int64_t in_channels) {
  const std::int64_t groups = view.attributes.integer("group", 1);
  check(groups >= 1 && in_channels % groups == 0, "group is {}, which does not divide the {} input channels", groups,
        in_channels);
  return groups;
}

/// [K, C/g, R * S] as it comes to lie in KRSC.
Layout conv_layout(const FilterShape& f) {
  return {{f.k, f.taps()}, {f.c, 1}, {f.r * f.s, f.c}};
}

/// Weights [C, K/g, R, S] of a transposed convolution as the KRSC filter of the equivalent correlation: flipped, and
/// input and output channels swapped within each group.
std::vector<float> read_flipped(const Builder& b, const NodeView& view, const FilterShape& f, std::int64_t groups) {
  const std::int64_t group_k = f.k / groups, window = f.r * f.s;
  // Groups, input channels of one, output channels of one, window.
  std::vector<float> weights =
      read_weights(b, view, {{groups, group_k * f.taps()}, {f.c, 1}, {group_k, f.taps()}, {window, f.c}});
  for (std::size_t k = 0; k < weights.size(); k += static_cast<std::size_t>(f.taps())) {
    for (std::int64_t rs = 0; rs < window / 2; ++rs) {
      const auto first = weights.begin() + static_cast<std::ptrdiff_t>(k) + rs * f.c;
      std::swap_ranges(first, first + f.c, first + (window - 1 - 2 * rs) * f.c);
    }
  }
  return weights;
}

Value add_conv(Builder& b, NodeView& view, const Value& x, FloatLayer layer) {
  const Window w = layer.conv.window;
  Node node = make_node(std::move(layer), view.name, {x.node});
  const Shape in = b.shape(x), out = b.output_of(node);
  check(out.h > 0 && out.w > 0, "its window of {} x {} (dilation {} x {}) does not fit the input of {} x {} positions",
        w.r, w.s, w.dilation_h, w.dilation_w, in.h, in.w);
  return b.add_spatial(std::move(node), x.map.rank() - 2);
}

/// Padding that auto_pad asks of a transposed convolution: the output extent is in * stride.
void apply_transposed_auto_pad(WindowAxes& axes, AutoPad auto_pad, const std::vector<std::int64_t>& output_padding) {
  if (auto_pad != AutoPad::same_upper && auto_pad != AutoPad::same_lower) return;
  for (std::size_t i = 0; i < output_padding.size(); ++i) {
    WindowAxis& axis = axes[i];
    const std::int64_t total = axis.effective() + output_padding[i] - axis.stride;
    check_supported(total >= 0, "auto_pad with a stride of {} beyond the window of {}", axis.stride, axis.effective());
    axis.pad_before = auto_pad == AutoPad::same_upper ? total / 2 : total - total / 2;
    axis.pad_after = total - axis.pad_before;
  }
}

/// The correlation over a spread input that equals this transposed convolution.
ConvGeometry transposed_geometry(const WindowAxes& axes, const std::vector<std::int64_t>& output_padding,
                                 std::int64_t groups) {
  WindowAxes plain = axes;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::int64_t reach = axes[i].effective() - 1;
    plain[i].stride = 1;
    plain[i].pad_before = reach - axes[i].pad_before;
    plain[i].pad_after = reach - axes[i].pad_after + (i < output_padding.size() ? output_padding[i] : 0);
  }
  return {.window = to_window(plain),
          .groups = groups,
          .spread_h = axes[0].stride,
          .spread_w = axes[1].stride,
          .transposed = true};
}

/// Weights [F, K] (`k_first`: [K, F]) for features that lie in the input as `axis` says.
Layout matrix_layout(const IndexMap::Axis& axis, std::int64_t features, std::int64_t k_count, bool k_first) {
  Layout layout(axis.begin(), axis.end());
  layout.insert(k_first ? layout.begin() : layout.end(), {k_count, features});
  return layout;
}

/// Whether the last axis of the value is the channel axis of its node, all of whose elements ONNX sees.
bool is_pointwise(Builder& b, const Value& x) {
  const std::int64_t features = x.map.dims().back().count;
  const auto channel = b.channel_axis(x);
  return x.map.size() == b.shape(x).size() && x.map.offset() == 0 &&
         (features == 1 ? b.shape(x).c == 1 : channel && *channel + 1 == x.map.rank());
}

/// Products of the last axis with weights [F, K] (`k_first`: [K, F]): of [N, F] a filter that covers the NHWC input,
/// of more axes a 1x1 convolution.
Value add_product(Builder& b, NodeView& view, const Value& x, bool k_first, float factor, std::vector<float> bias) {
  const Extents dims = x.map.dims();
  const std::int64_t features = dims.back().count, k_count = view.constant_dims(1, "weights")[k_first ? 0 : 1];
  const bool whole = dims.size() == 2 && dims[0] == Extent{1, true};
  const Value input = whole ? b.flat(x) : is_pointwise(b, x) ? x : b.row_major(x);
  const Shape in = b.shape(input);
  FloatLayer layer{.gemm = whole};
  layer.conv.window = {.r = whole ? in.h : 1, .s = whole ? in.w : 1};
  layer.filter = {k_count, layer.conv.window.r, layer.conv.window.s, in.c};
  layer.weights = read_weights(b, view, matrix_layout(input.map.axes().back(), features, k_count, k_first), factor);
  layer.bias = std::move(bias);
  Node node = make_node(std::move(layer), view.name, {input.node});
  if (whole) return b.add(std::move(node), qnudge::features(k_count));
  std::vector<IndexMap::Axis> axes = input.map.axes();
  for (IndexMap::Axis& axis : axes) {
    for (IndexMap::Factor& step : axis) step.stride = step.stride / features * k_count;
  }
  axes.back() = {{k_count, 1}};
  return b.add(std::move(node), IndexMap(std::move(axes)));
}

/// [F, K] or [K, F], none of them empty, that fits the input.
std::vector<std::int64_t> matrix_dims(const NodeView& view, std::int64_t features, bool k_first) {
  std::vector<std::int64_t> dims = view.constant_dims(1, "weights");
  check_supported(dims.size() == 2, "the weights have the shape {}; a matrix is needed", format_dims(dims));
  check(dims[0] > 0 && dims[1] > 0, "the weights have the empty shape {}", format_dims(dims));
  check(dims[k_first ? 1 : 0] == features, "the weights have the shape {}, but the input has {} features",
        format_dims(dims), features);
  return dims;
}

}  // namespace

Value import_conv(Builder& b, NodeView& view) {
  const Value x = b.spatial(view.activation(0));
  check_supported(!x.padding.least, "its input is padded with something else than zeros");
  const std::size_t rank = x.map.rank() - 2;
  const Shape in = b.shape(x);
  const std::vector<std::int64_t> w = filter_dims(view, rank);
  AutoPad auto_pad{};
  WindowAxes axes = read_window(view, in, rank, {w.begin() + 2, w.end()}, auto_pad);
  axes[0].in += x.padding.top + x.padding.bottom;
  axes[1].in += x.padding.left + x.padding.right;
  apply_auto_pad(axes, auto_pad);
  take_padding(axes, x.padding);
  FloatLayer layer;
  layer.conv = {.window = to_window(axes), .groups = read_groups(view, in.c)};
  layer.filter = {w[0], axes[0].window, axes[1].window, w[1]};
  check(layer.filter.c * layer.conv.groups == in.c,
        "the weights have the shape {}, but the input has {} channels in {} groups", format_dims(w), in.c,
        layer.conv.groups);
  check(layer.filter.k % layer.conv.groups == 0, "group is {}, which does not divide the {} output channels",
        layer.conv.groups, layer.filter.k);
  layer.weights = read_weights(b, view, conv_layout(layer.filter));
  layer.bias = read_bias(view, layer.filter.k);
  return add_conv(b, view, x, std::move(layer));
}

Value import_conv_transpose(Builder& b, NodeView& view) {
  const Value x = b.spatial(view.activation(0));
  const std::size_t rank = x.map.rank() - 2;
  const Shape in = b.shape(x);
  const std::vector<std::int64_t> w = filter_dims(view, rank);
  AutoPad auto_pad{};
  WindowAxes axes = read_window(view, in, rank, {w.begin() + 2, w.end()}, auto_pad);
  check_supported(view.attributes.find("output_shape") == nullptr,
                  "the attribute output_shape is not supported; state pads and output_padding");
  const auto output_padding = read_per_axis(view, "output_padding", rank, 0, 0);
  apply_transposed_auto_pad(axes, auto_pad, output_padding);
  const std::int64_t groups = read_groups(view, in.c);
  check(w[0] == in.c, "the weights have the shape {}, but the input has {} channels", format_dims(w), in.c);
  FloatLayer layer;
  layer.conv = transposed_geometry(axes, output_padding, groups);
  layer.filter = {w[1] * groups, axes[0].window, axes[1].window, in.c / groups};
  layer.weights = read_flipped(b, view, layer.filter, groups);
  layer.bias = read_bias(view, layer.filter.k);
  return add_conv(b, view, x, std::move(layer));
}

Value import_gemm(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const float alpha = view.attributes.real("alpha", 1);
  const float beta = view.attributes.real("beta", 1);
  check_supported(view.attributes.integer("transA", 0) == 0, "transA = 1 is not supported");
  const bool k_first = view.attributes.integer("transB", 0) != 0;
  check(x.map.rank() == 2, "it multiplies {}; a matrix is needed", b.describe(x));
  const std::int64_t k_count = matrix_dims(view, x.map.dims()[1].count, k_first)[k_first ? 0 : 1];
  std::vector<float> bias(static_cast<std::size_t>(k_count), 0.0f);
  if (view.has(2)) {
    const FloatTensor c = view.floats(2, "bias values");
    const bool one_row = c.dims.size() < 2 || (c.dims.size() == 2 && c.dims[0] == 1);
    check_supported(one_row && (c.values.size() == 1 || c.values.size() == bias.size()),
                    "its bias has the shape {}; one value, [{}] or [1, {}] is supported", format_dims(c.dims), k_count,
                    k_count);
    for (std::size_t k = 0; k < bias.size(); ++k) bias[k] = beta * c.values[c.values.size() == 1 ? 0 : k];
    check_finite(bias, "beta times the bias");
  }
  return add_product(b, view, x, k_first, alpha, std::move(bias));
}

Value import_matmul(Builder& b, NodeView& view) {
  if (view.has(1) && view.inputs[1].activation()) return import_product(b, view);
  const Value x = b.computed(view.activation(0));
  check(x.map.rank() >= 2, "it multiplies {}; two axes or more are needed", b.describe(x));
  const std::int64_t k_count = matrix_dims(view, x.map.dims().back().count, false)[1];
  return add_product(b, view, x, false, 1, std::vector<float>(static_cast<std::size_t>(k_count), 0.0f));
}

Value import_batch_norm(Builder& b, NodeView& view) {
  Value x = view.activation(0);
  const Extents dims = x.map.dims();
  check(dims.size() >= 2 && !dims[1].batch, "it reads {}; [N, C, ...] is needed", b.describe(x));
  const std::int64_t channels = dims[1].count;
  if (b.shape(x).c != channels || (channels > 1 && b.channel_axis(x) != std::size_t{1})) {
    x = dims.size() > 2 ? b.spatial(x) : b.row_major(x);
  }
  const double epsilon = view.attributes.real("epsilon", 1e-5f);
  view.attributes.real("momentum", 0.9f);  // only training uses it
  // Before opset 14 it is the further outputs that ask for training.
  const bool training = b.opset < 14 ? view.proto.output_size() > 1 : view.attributes.integer("training_mode", 0) != 0;
  check_supported(!training,
                  "it is in training mode, in which it normalises by the statistics of each batch; export the model in "
                  "evaluation mode (PyTorch: model.eval())");
  const bool per_pixel = b.opset < 9 && view.attributes.integer("spatial", 1) == 0;
  check_supported(!per_pixel, "spatial = 0 normalises every element by itself; per channel is supported");
  const auto per_channel = [&](std::size_t i, std::string_view role) {
    FloatTensor tensor = view.floats(i, role);
    check(tensor.dims == std::vector<std::int64_t>{channels}, "the {} have the shape {}; [{}] is needed", role,
          format_dims(tensor.dims), channels);
    return std::move(tensor.values);
  };
  const auto gamma = per_channel(1, "scales"), beta = per_channel(2, "biases");
  const auto mean = per_channel(3, "means"), variance = per_channel(4, "variances");
  FloatBatchNorm norm;
  for (std::size_t c = 0; c < gamma.size(); ++c) {
    const double spread = static_cast<double>(variance[c]) + epsilon;
    check(spread > 0, "the variance of channel {} plus epsilon is {}; above 0 is needed", c, spread);
    const double scale = gamma[c] / std::sqrt(spread);
    norm.scale.push_back(static_cast<float>(scale));
    norm.shift.push_back(static_cast<float>(beta[c] - mean[c] * scale + 0.0));  // + 0.0: no negative zero
  }
  check_finite(norm.scale, "gamma / sqrt(variance + epsilon)");
  check_finite(norm.shift, "beta - mean * scale");
  return b.add(make_node(std::move(norm), view.name, {x.node}), x.map);
}

}  // namespace qnudge
