// SPDX-License-Identifier: MIT
// Operators with weights, and BatchNormalization.
#include <cmath>
#include <utility>

#include "importer.hpp"
#include "refusal.hpp"
#include "window_import.hpp"

namespace qnudge {
namespace {

void check_finite(const std::vector<float>& values, std::string_view what) {
  for (const float value : values) check(std::isfinite(value), "{} overflows float32", what);
}

/// Weights of a convolution: [A, B, window...], without empty extents.
FloatTensor read_filter(const Builder& b, const NodeView& view) {
  FloatTensor w = view.floats(1, "weights");
  check(w.dims.size() == b.rank() + 2, "the weights have the shape {}; rank {} is needed", format_dims(w.dims),
        b.rank() + 2);
  check(!w.values.empty(), "the weights have the empty shape {}", format_dims(w.dims));
  return w;
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

/// [K, C/g, R, S] to KRSC.
std::vector<float> to_krsc(const FilterShape& f, const std::vector<float>& kcrs) {
  std::vector<float> krsc(kcrs.size());
  std::size_t from = 0;
  for (std::int64_t k = 0; k < f.k; ++k) {
    for (std::int64_t c = 0; c < f.c; ++c) {
      for (std::int64_t rs = 0; rs < f.r * f.s; ++rs) {
        krsc[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c)] = kcrs[from++];
      }
    }
  }
  return krsc;
}

/// [C, K/g, R, S] of a transposed convolution to the KRSC filter of the equivalent correlation: flipped, and input and
/// output channels swapped within each group.
std::vector<float> flip_to_krsc(const FilterShape& f, std::int64_t groups, const std::vector<float>& ckrs) {
  std::vector<float> krsc(ckrs.size());
  const std::int64_t group_k = f.k / groups;
  std::size_t from = 0;
  for (std::int64_t c = 0; c < f.c * groups; ++c) {
    for (std::int64_t kk = 0; kk < group_k; ++kk) {
      const std::int64_t k = c / f.c * group_k + kk;
      for (std::int64_t rs = f.r * f.s - 1; rs >= 0; --rs) {
        krsc[static_cast<std::size_t>((k * f.r * f.s + rs) * f.c + c % f.c)] = ckrs[from++];
      }
    }
  }
  return krsc;
}

Value add_conv(Builder& b, NodeView& view, const Value& x, FloatLayer layer) {
  const Window w = layer.conv.window;
  Node node = make_node(std::move(layer), view.name, {x.node});
  const Shape in = b.shape(x), out = b.output_of(node);
  check(out.h > 0 && out.w > 0, "its window of {} x {} (dilation {} x {}) does not fit the input of {} x {} positions",
        w.r, w.s, w.dilation_h, w.dilation_w, in.h, in.w);
  return b.add(std::move(node), false);
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

/// Weights [F, K] (`k_first`: [K, F]) in the order of C, H, W, as a filter that covers the NHWC input.
Value add_gemm(Builder& b, NodeView& view, const Value& x, const FloatTensor& w, bool k_first,
               std::vector<float> bias) {
  const Shape in = b.shape(x);
  const std::int64_t features = in.size();
  const std::int64_t k_count = w.dims[k_first ? 0 : 1];
  FloatLayer layer{.gemm = true};
  layer.conv.window = {.r = in.h, .s = in.w};
  layer.filter = {k_count, in.h, in.w, in.c};
  layer.weights.resize(w.values.size());
  std::size_t to = 0;
  for (std::int64_t k = 0; k < k_count; ++k) {
    for (std::int64_t hw = 0; hw < in.h * in.w; ++hw) {
      for (std::int64_t c = 0; c < in.c; ++c) {
        const std::int64_t f = c * in.h * in.w + hw;
        layer.weights[to++] = w.values[static_cast<std::size_t>(k_first ? k * features + f : f * k_count + k)];
      }
    }
  }
  layer.bias = std::move(bias);
  return b.add(make_node(std::move(layer), view.name, {x.node}), true);
}

const Value& flat_input(Builder& b, const NodeView& view, std::size_t i) {
  const Value& x = view.activation(i);
  check_supported(x.flat, "it multiplies {}; only a flattened [N, features] is supported", b.describe(x));
  return x;
}

FloatTensor read_matrix(Builder& b, const NodeView& view, const Value& x, bool k_first) {
  FloatTensor w = view.floats(1, "weights");
  check_supported(w.dims.size() == 2, "the weights have the shape {}; a matrix is needed", format_dims(w.dims));
  check(!w.values.empty(), "the weights have the empty shape {}", format_dims(w.dims));
  const std::int64_t features = b.shape(x).size();
  check(w.dims[k_first ? 1 : 0] == features, "the weights have the shape {}, but the input has {} features",
        format_dims(w.dims), features);
  return w;
}

}  // namespace

Value import_conv(Builder& b, NodeView& view) {
  const Value& x = view.spatial(0);
  const Shape in = b.shape(x);
  const FloatTensor w = read_filter(b, view);
  AutoPad auto_pad{};
  WindowAxes axes = read_window(b, view, in, {w.dims.begin() + 2, w.dims.end()}, auto_pad);
  apply_auto_pad(axes, auto_pad);
  FloatLayer layer;
  layer.conv = {.window = to_window(axes), .groups = read_groups(view, in.c)};
  layer.filter = {w.dims[0], axes[0].window, axes[1].window, w.dims[1]};
  check(layer.filter.c * layer.conv.groups == in.c,
        "the weights have the shape {}, but the input has {} channels in {} groups", format_dims(w.dims), in.c,
        layer.conv.groups);
  check(layer.filter.k % layer.conv.groups == 0, "group is {}, which does not divide the {} output channels",
        layer.conv.groups, layer.filter.k);
  layer.weights = to_krsc(layer.filter, w.values);
  layer.bias = read_bias(view, layer.filter.k);
  return add_conv(b, view, x, std::move(layer));
}

Value import_conv_transpose(Builder& b, NodeView& view) {
  const Value& x = view.spatial(0);
  const Shape in = b.shape(x);
  const FloatTensor w = read_filter(b, view);
  AutoPad auto_pad{};
  WindowAxes axes = read_window(b, view, in, {w.dims.begin() + 2, w.dims.end()}, auto_pad);
  check_supported(view.attributes.find("output_shape") == nullptr,
                  "the attribute output_shape is not supported; state pads and output_padding");
  const auto output_padding = read_per_axis(view, "output_padding", b.rank(), 0, 0);
  apply_transposed_auto_pad(axes, auto_pad, output_padding);
  const std::int64_t groups = read_groups(view, in.c);
  check(w.dims[0] == in.c, "the weights have the shape {}, but the input has {} channels", format_dims(w.dims), in.c);
  FloatLayer layer;
  layer.conv = transposed_geometry(axes, output_padding, groups);
  layer.filter = {w.dims[1] * groups, axes[0].window, axes[1].window, in.c / groups};
  layer.weights = flip_to_krsc(layer.filter, groups, w.values);
  layer.bias = read_bias(view, layer.filter.k);
  return add_conv(b, view, x, std::move(layer));
}

Value import_gemm(Builder& b, NodeView& view) {
  const Value& x = flat_input(b, view, 0);
  const float alpha = view.attributes.real("alpha", 1);
  const float beta = view.attributes.real("beta", 1);
  check_supported(view.attributes.integer("transA", 0) == 0, "transA = 1 is not supported");
  const bool k_first = view.attributes.integer("transB", 0) != 0;
  FloatTensor w = read_matrix(b, view, x, k_first);
  for (float& value : w.values) value *= alpha;
  check_finite(w.values, "alpha times the weights");
  const std::int64_t k_count = w.dims[k_first ? 0 : 1];
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
  return add_gemm(b, view, x, w, k_first, std::move(bias));
}

Value import_matmul(Builder& b, NodeView& view) {
  const Value& x = flat_input(b, view, 0);
  const FloatTensor w = read_matrix(b, view, x, false);
  return add_gemm(b, view, x, w, false, std::vector<float>(static_cast<std::size_t>(w.dims[1]), 0.0f));
}

Value import_batch_norm(Builder& b, NodeView& view) {
  const Value& x = view.activation(0);
  const Shape shape = b.shape(x);
  check_supported(!x.flat || shape.h * shape.w == 1,
                  "it normalises each of {} flattened features by itself; per channel is supported", shape.size());
  const double epsilon = view.attributes.real("epsilon", 1e-5f);
  view.attributes.real("momentum", 0.9f);  // only training uses it
  // Before opset 14 it is the further outputs that ask for training.
  const bool training = b.opset < 14 ? view.proto.output_size() > 1 : view.attributes.integer("training_mode", 0) != 0;
  check_supported(!training,
                  "it is in training mode, in which it normalises by the statistics of each batch; export the model in "
                  "evaluation mode (PyTorch: model.eval())");
  const auto per_channel = [&](std::size_t i, std::string_view role) {
    FloatTensor tensor = view.floats(i, role);
    check(tensor.dims == std::vector<std::int64_t>{shape.c}, "the {} have the shape {}; [{}] is needed", role,
          format_dims(tensor.dims), shape.c);
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
  return b.add(make_node(std::move(norm), view.name, {x.node}), x.flat);
}

}  // namespace qnudge
