// SPDX-License-Identifier: MIT
#include "conv_graph.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "qnudge/core/error.hpp"
#include "qnudge/cuda/phases.hpp"

namespace qnudge::cuda {
namespace {

constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23

bool is_power_of_two(float value) {
  int exponent = 0;
  return std::isfinite(value) && std::frexp(value, &exponent) == 0.5f;
}

using Extents = std::vector<std::int64_t>;

/// Dimensions and strides of the tensors of one task. cuDNN lists channels second; memory has them last.
class Layout {
 public:
  Layout(const ConvTask& task, ConvForm form)
      : t_(task), five_(task.role == ConvRole::shared), sliced_(form.split == ConvForm::Split::candidates) {
    if (form.split == ConvForm::Split::phases) phases_ = phases_of(task);
  }

  bool five() const { return five_; }
  std::int64_t outputs() const {
    return t_.role == ConvRole::wide && !sliced_ ? t_.candidates * t_.filter.k : t_.filter.k;
  }
  /// Of one phase, where there are phases: these lie one behind the other.
  FilterShape filter() const {
    return phases_ ? FilterShape{t_.filter.k, phases_->h.taps, phases_->w.taps, t_.filter.c} : t_.filter;
  }
  const Window& window() const { return phases_ ? phases_->window : t_.geometry.window; }

  Extents x_dims() const { return dims(t_.images, t_.in.c, t_.in.h, t_.in.w); }
  Extents x_strides() const {
    const std::int64_t pixel = five_ ? t_.candidates * t_.in.c : t_.in.c;
    return strides(t_.in.h * t_.in.w * pixel, t_.in.w * pixel, pixel, t_.in.c);
  }
  Extents y_dims() const {
    return phases_ ? dims(t_.images, outputs(), phases_->h.outputs, phases_->w.outputs)
                   : dims(t_.images, outputs(), t_.out.h, t_.out.w);
  }
  /// In memory pixels hold all candidates, whichever of them and of the phases this graph writes.
  Extents y_strides() const {
    const std::int64_t pixel = t_.candidates * t_.filter.k, row = t_.out.w * pixel;
    const std::int64_t every_row = phases_ ? phases_->h.phases : 1, every_column = phases_ ? phases_->w.phases : 1;
    return strides(t_.out.h * row, every_row * row, every_column * pixel, t_.filter.k);
  }
  Extents w_dims() const {
    const FilterShape f = filter();
    return five_ ? Extents{f.k, f.c, f.r, f.s, 1} : Extents{outputs(), f.c, f.r, f.s};
  }
  Extents w_strides() const {
    const FilterShape f = filter();
    return five_ ? Extents{f.taps(), 1, f.s * f.c, f.c, f.c} : Extents{f.taps(), 1, f.s * f.c, f.c};
  }
  Extents channel_dims() const { return five_ ? Extents{1, outputs(), 1, 1, 1} : Extents{1, outputs(), 1, 1}; }
  Extents channel_strides() const {
    const std::int64_t k = outputs();
    return five_ ? Extents{k, 1, k, k, k} : Extents{k, 1, k, k};
  }
  /// Of pairs (height, width), with `last` for the axis of candidates.
  Extents spatial(std::int64_t h, std::int64_t w, std::int64_t last) const {
    return five_ ? Extents{h, w, last} : Extents{h, w};
  }

 private:
  Extents dims(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w) const {
    return five_ ? Extents{n, c, h, w, t_.candidates} : Extents{n, c, h, w};
  }
  Extents strides(std::int64_t image, std::int64_t row, std::int64_t column, std::int64_t candidate) const {
    return five_ ? Extents{image, 1, row, column, candidate} : Extents{image, 1, row, column};
  }

  const ConvTask& t_;
  const bool five_, sliced_;
  std::optional<Phases> phases_;
};

/// Collects operations into a graph.
class Builder {
 public:
  Builder(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form)
      : api_(api), target_(target), task_(task), half_(form.half || task.half), layout_(task, form) {}

  ConvGraph build() {
    const ConvEpilogue& e = task_.epilogue;
    // Engines contract a * b + c into one rounding wherever they can. That changes nothing while the product is exact:
    // so the multipliers of an addition must be powers of two.
    require(!e.addition || (is_power_of_two(e.addition->m_conv) && is_power_of_two(e.addition->m_residual)),
            ErrorKind::internal, "the addition behind {} has multipliers {} and {}; both must be powers of two",
            task_text(task_), e.addition ? e.addition->m_conv : 0, e.addition ? e.addition->m_residual : 0);
    std::size_t v = convolution();
    v = pointwise(CUDNN_POINTWISE_ADD, v, channels(Port::bias), virtual_tensor());
    if (e.float_output && e.low != 0) {
      pointwise(CUDNN_POINTWISE_MUL, v, channels(Port::multiplier), output(CUDNN_DATA_FLOAT));
      return finish();
    }
    v = pointwise(CUDNN_POINTWISE_MUL, v, channels(Port::multiplier), virtual_tensor());
    if (e.float_output) {
      pointwise(CUDNN_POINTWISE_MAX, v, scalar(0.0f), output(CUDNN_DATA_FLOAT));
      return finish();
    }
    if (!e.addition) {
      bounded(v, e.low, e.high, output(element()));
      return finish();
    }
    v = bounded(v, e.low, e.high, virtual_tensor());
    const std::size_t own = pointwise(CUDNN_POINTWISE_MUL, v, scalar(e.addition->m_conv), virtual_tensor());
    const std::size_t other =
        pointwise(CUDNN_POINTWISE_MUL, residual(), scalar(e.addition->m_residual), virtual_tensor());
    v = pointwise(CUDNN_POINTWISE_ADD, own, other, virtual_tensor());
    bounded(v, e.addition->low, e.addition->high, output(element()));
    return finish();
  }

 private:
  std::size_t tensor(std::int64_t uid, cudnnDataType_t type, const Extents& dims, const Extents& strides,
                     std::int64_t alignment, bool is_virtual, bool by_value) {
    Descriptor d(api_, CUDNN_BACKEND_TENSOR_DESCRIPTOR, fmt::format("tensor {} [{}]", uid, fmt::join(dims, ",")));
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid)
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, dims)
        .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual)
        .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, by_value)
        .finalize();
    text_ += fmt::format("t{} type{} [{}] ({}) a{}{}{};", uid, static_cast<int>(type), fmt::join(dims, ","),
                         fmt::join(strides, ","), alignment, is_virtual ? " virtual" : "", by_value ? " value" : "");
    parts_.push_back(std::move(d));
    return parts_.size() - 1;
  }

  std::size_t virtual_tensor(cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    return tensor(next_uid_++, type, layout_.y_dims(), layout_.y_strides(), 16, true, false);
  }
  std::size_t stored(Port port, cudnnDataType_t type, const Extents& dims, const Extents& strides,
                     std::int64_t alignment) {
    tensors_.push_back({port, alignment});
    return tensor(static_cast<std::int64_t>(port), type, dims, strides, alignment, false, false);
  }
  std::size_t output(cudnnDataType_t type) {
    return stored(Port::y, type, layout_.y_dims(), layout_.y_strides(),
                  alignment_of(task_.filter.k * output_bytes(task_)));
  }
  std::size_t residual() {
    return stored(Port::residual, element(), layout_.y_dims(), layout_.y_strides(),
                  alignment_of(task_.filter.k * operand_bytes(task_)));
  }
  std::size_t channels(Port port) {
    return stored(port, CUDNN_DATA_FLOAT, layout_.channel_dims(), layout_.channel_strides(),
                  alignment_of(task_.filter.k * 4));
  }
  std::size_t scalar(float value) {
    const Extents ones(layout_.five() ? 5 : 4, 1);
    scalars_.push_back({next_uid_, value});
    text_ += fmt::format("s{}={};", next_uid_, value);
    return tensor(next_uid_++, CUDNN_DATA_FLOAT, ones, ones, 16, false, true);
  }

  /// Of tensors between nodes.
  cudnnDataType_t element() const { return task_.half ? CUDNN_DATA_HALF : CUDNN_DATA_INT8; }

  /// The sums, virtual: exact unless the task itself is of halves.
  std::size_t convolution() {
    const Window& g = layout_.window();
    const cudnnDataType_t type = half_ ? CUDNN_DATA_HALF : CUDNN_DATA_INT8;
    const cudnnDataType_t sums = half_ ? CUDNN_DATA_FLOAT : CUDNN_DATA_INT32;
    const std::int64_t size = half_ ? 2 : 1;
    const std::size_t x = stored(Port::x, type, layout_.x_dims(), layout_.x_strides(), x_alignment(task_, size));
    const std::size_t w =
        stored(Port::w, type, layout_.w_dims(), layout_.w_strides(), alignment_of(layout_.filter().size() * size));
    const std::size_t y = virtual_tensor(sums);
    Descriptor conv(api_, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, "a convolution");
    const Extents stride = layout_.spatial(g.stride_h, g.stride_w, 1);
    const Extents dilation = layout_.spatial(g.dilation_h, g.dilation_w, 1);
    const Extents before = layout_.spatial(g.pad_top, g.pad_left, 0);
    const Extents after = layout_.spatial(g.pad_bottom, g.pad_right, 0);
    conv.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, sums)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, static_cast<std::int64_t>(stride.size()))
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, stride)
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, dilation)
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, before)
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, after)
        .finalize();
    Descriptor op(api_, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, "a convolution");
    op.set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, parts_[x])
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, parts_[w])
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, parts_[y])
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1.0f)
        .set(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0.0f)
        .finalize();
    text_ += fmt::format("conv s{} d{} p{} q{};", fmt::join(stride, ","), fmt::join(dilation, ","),
                         fmt::join(before, ","), fmt::join(after, ","));
    parts_.push_back(std::move(conv));
    operations_.push_back(op.get());
    parts_.push_back(std::move(op));
    return y;
  }

  std::size_t pointwise(cudnnPointwiseMode_t mode, std::size_t a, std::size_t b, std::size_t y) {
    Descriptor pointwise(api_, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, "an element-wise operation");
    pointwise.set(CUDNN_ATTR_POINTWISE_MODE, mode).set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT).finalize();
    Descriptor op(api_, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, "an element-wise operation");
    op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise)
        .set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, parts_[a])
        .set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, parts_[b])
        .set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, parts_[y])
        .finalize();
    text_ += fmt::format("op{};", static_cast<int>(mode));
    parts_.push_back(std::move(pointwise));
    operations_.push_back(op.get());
    parts_.push_back(std::move(op));
    return y;
  }

  /// The clamp comes before the rounding not for its bounds alone: MAX and MIN stand between the multiplication and the
  /// addition of the magic number, which an engine's compiler would otherwise contract into one operation, and that
  /// rounds once where the contract rounds twice.
  /// y = clamp(rint(v), low, high), of halves clamp(v, low, high), which the conversion to y rounds.
  std::size_t bounded(std::size_t v, float low, float high, std::size_t y) {
    v = pointwise(CUDNN_POINTWISE_MAX, v, scalar(low), virtual_tensor());
    if (task_.half) return pointwise(CUDNN_POINTWISE_MIN, v, scalar(high), y);
    v = pointwise(CUDNN_POINTWISE_MIN, v, scalar(high), virtual_tensor());
    v = pointwise(CUDNN_POINTWISE_ADD, v, scalar(kMagic), virtual_tensor());
    return pointwise(CUDNN_POINTWISE_SUB, v, scalar(kMagic), y);
  }

  ConvGraph finish() {
    Descriptor graph(api_, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "an operation graph");
    target_.give_to_graph(graph);
    graph.set_descriptors(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_).finalize();
    return {std::move(graph), std::move(tensors_), std::move(scalars_), std::move(text_), std::move(parts_)};
  }

  const Cudnn& api_;
  const PlanTarget& target_;
  const ConvTask& task_;
  const bool half_;
  const Layout layout_;
  std::vector<Descriptor> parts_;
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::vector<GraphTensor> tensors_;
  std::vector<GraphScalar> scalars_;
  std::string text_;
  std::int64_t next_uid_ = 100;
};

}  // namespace

std::string graph_refusal(const ConvTask& task, ConvForm form) {
  const ConvGeometry& g = task.geometry;
  const bool phases = form.split == ConvForm::Split::phases, sliced = form.split == ConvForm::Split::candidates;
  if (phases) {
    if (std::string refusal = phases_of(task).refusal; !refusal.empty()) return refusal;
  } else if (g.spread_h != 1 || g.spread_w != 1) {
    return "cuDNN has no int8 transposed convolution";
  }
  if (!form.half && !task.half && g.groups > 1 && task.filter.c == 1) return "cuDNN has no int8 depthwise convolution";
  if (!phases && (g.window.pad_top < 0 || g.window.pad_left < 0 || g.window.pad_bottom < 0 || g.window.pad_right < 0)) {
    return "cuDNN has no cropping convolution";
  }
  if (sliced && task.role != ConvRole::wide) return "only filters per candidate can be sliced";
  if (!phases && !sliced && task.role == ConvRole::wide && g.groups > 1) {
    return "a grouped convolution with a filter per candidate has no single graph";
  }
  // A slice of y lies in all of it, a slice of w is all that its graph sees.
  const std::int64_t filters = sliced ? task.filter.size() : filter_elements(task);
  if (std::max(largest_tensor(task), filters) > kMaxTensorElements) return "a tensor of 2^31 elements or more";
  return {};
}

std::string form_text(const ConvForm& form) {
  const char* split = form.split == ConvForm::Split::none         ? "one graph"
                      : form.split == ConvForm::Split::candidates ? "one candidate at a time"
                                                                  : "by phases";
  return fmt::format("{}{}", split, form.half ? ", half precision" : "");
}

bool half_is_exact(const ConvTask& task, int code_bits) {
  return task.filter.taps() * 128 * (std::int64_t{1} << (code_bits - 1)) < (std::int64_t{1} << 24);
}

ConvGraph make_conv_graph(const Cudnn& api, const PlanTarget& target, const ConvTask& task, ConvForm form) {
  return Builder(api, target, task, form).build();
}

}  // namespace qnudge::cuda
