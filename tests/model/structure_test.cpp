// SPDX-License-Identifier: MIT
// Operators that compute nothing: what the imported graph does to elements, compared in ONNX's own order.
#include <functional>
#include <numeric>
#include <random>

#include "import_support.hpp"
#include "naive_graph.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge::test {
namespace {

using ::testing::HasSubstr;
using Dims = std::vector<std::int64_t>;

/// One sample as ONNX sees it, without the axis of the samples.
struct Logical {
  Dims dims;
  std::vector<double> values;

  static Logical counted(const Dims& dims) {
    Logical x{dims, {}};
    const auto size = std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
    x.values.resize(static_cast<std::size_t>(size));
    std::iota(x.values.begin(), x.values.end(), 1.0);
    return x;
  }
  /// The tensor of extents `to` whose element at an index is this one's at pick(index); 0 where that is outside.
  Logical picked(const Dims& to, const std::function<Dims(const Dims&)>& pick) const {
    Logical result = counted(to);
    for (double& value : result.values) {
      Dims index(to.size());
      auto rest = static_cast<std::int64_t>(value) - 1;
      for (std::size_t i = to.size(); i-- > 0; rest /= to[i]) index[i] = rest % to[i];
      const Dims from = pick(index);
      std::int64_t place = 0;
      bool inside = true;
      for (std::size_t i = 0; i < dims.size(); ++i) {
        inside = inside && from[i] >= 0 && from[i] < dims[i];
        place = place * dims[i] + from[i];
      }
      value = inside ? values[static_cast<std::size_t>(place)] : 0;
    }
    return result;
  }
};

/// What the model makes of the numbers 1, 2, ... in ONNX's order. Its last tensor is `tensor` with `size` elements per
/// sample; a product with the identity matrix shows them in ONNX's order.
std::vector<double> run(OnnxBuilder model, const Dims& input, const std::string& tensor, std::int64_t size) {
  std::vector<float> identity(static_cast<std::size_t>(size * size));
  for (std::int64_t i = 0; i < size; ++i) identity[static_cast<std::size_t>(i * size + i)] = 1;
  model.floats("identity", {size, size}, identity);
  set(model.node("Flatten", {tensor}, "flattened"), "axis", 1);
  model.node("MatMul", {"flattened", "identity"}, "y");
  const Graph graph = import(model.output("y"));
  const Logical x = Logical::counted(input);
  Tensor nhwc = x.values;
  if (!graph.ends.input_channels_last && input.size() > 1) {
    Dims last(input.begin() + 1, input.end());
    last.push_back(input[0]);
    nhwc = x.picked(last, [](const Dims& index) {
              Dims from(index.begin(), index.end() - 1);
              from.insert(from.begin(), index.back());
              return from;
            }).values;
  }
  return NaiveGraph(graph).run(nhwc);
}

Dims with_batch(const Dims& dims, std::int64_t batch = -1) {
  Dims all{batch};
  all.insert(all.end(), dims.begin(), dims.end());
  return all;
}

onnx::NodeProto& set_list(onnx::NodeProto& node, const std::string& name, const Dims& values) {
  attribute(node, name, onnx::AttributeProto::INTS).mutable_ints()->Add(values.begin(), values.end());
  return node;
}

TEST(Structure, RandomChainsKeepEveryElement) {
  std::mt19937_64 random(11);
  const auto below = [&](std::size_t n) { return static_cast<std::int64_t>(random() % n); };
  for (int trial = 0; trial < 300; ++trial) {
    const Dims input{4, 2, 6};
    OnnxBuilder model(with_batch(input, trial % 3 == 0 ? 1 : -1));
    Logical now = Logical::counted(input);
    std::string tensor = "x", said;
    for (int step = 0; step < 5; ++step) {
      const std::string next = fmt::format("t{}", step);
      const std::size_t rank = now.dims.size();
      switch (random() % 5) {
        case 0: {  // a permutation that leaves the samples in front
          std::vector<std::size_t> order(rank);
          std::iota(order.begin(), order.end(), std::size_t{0});
          std::shuffle(order.begin(), order.end(), random);
          Dims perm{0}, to(rank);
          for (std::size_t i = 0; i < rank; ++i) {
            perm.push_back(static_cast<std::int64_t>(order[i]) + 1);
            to[i] = now.dims[order[i]];
          }
          set_list(model.node("Transpose", {tensor}, next), "perm", perm);
          now = now.picked(to, [&](const Dims& index) {
            Dims from(rank);
            for (std::size_t i = 0; i < rank; ++i) from[order[i]] = index[i];
            return from;
          });
          break;
        }
        case 1: {  // other extents
          std::int64_t rest = static_cast<std::int64_t>(now.values.size());
          Dims to;
          while (to.size() < 3) {
            Dims divisors;
            for (std::int64_t d = 1; d <= rest; ++d) {
              if (rest % d == 0) divisors.push_back(d);
            }
            to.push_back(divisors[random() % divisors.size()]);
            rest /= to.back();
          }
          to.push_back(rest);
          Dims target = with_batch(to, random() % 2 == 0 ? 0 : -1);
          if (target[0] == 0) target[1 + random() % 4] = -1;
          model.integers("s" + next, target);
          model.node("Reshape", {tensor, "s" + next}, next);
          now.dims = to;
          break;
        }
        case 2: {  // a slice
          const std::size_t axis = random() % rank;
          const std::int64_t extent = now.dims[axis], start = below(static_cast<std::size_t>(extent));
          const bool backwards = random() % 3 == 0;
          Dims to = now.dims;
          to[axis] = backwards ? start + 1 : extent - start;
          model.integers("a" + next, {start});
          model.integers("b" + next, {backwards ? std::numeric_limits<std::int64_t>::min() : extent});
          model.integers("c" + next, {static_cast<std::int64_t>(axis) + 1});
          model.integers("d" + next, {backwards ? -1 : 1});
          model.node("Slice", {tensor, "a" + next, "b" + next, "c" + next, "d" + next}, next);
          now = now.picked(to, [&](Dims index) {
            index[axis] = backwards ? start - index[axis] : start + index[axis];
            return index;
          });
          break;
        }
        case 3: {  // itself and its second half behind it
          const std::size_t axis = random() % rank;
          if (now.values.size() > 200) {
            model.node("Identity", {tensor}, next);
            break;
          }
          set(model.node("Concat", {tensor, tensor}, next), "axis", static_cast<int>(axis) + 1);
          Dims to = now.dims;
          const std::int64_t extent = now.dims[axis];
          to[axis] *= 2;
          now = now.picked(to, [&](Dims index) {
            index[axis] %= extent;
            return index;
          });
          break;
        }
        default: {  // a sum with something that lies otherwise
          model.node("Relu", {tensor}, "r" + next);
          model.node("Add", {tensor, "r" + next}, next);
          for (double& value : now.values) value *= 2;
        }
      }
      tensor = next;
    }
    SCOPED_TRACE(trial);
    const auto result = run(model, input, tensor, static_cast<std::int64_t>(now.values.size()));
    ASSERT_EQ(result, now.values);
  }
}

TEST(Structure, ChannelShuffle) {
  OnnxBuilder model({-1, 6, 2, 2});
  model.integers("cut", {0, 2, 3, 2, 2});
  model.integers("join", {0, -1, 2, 2});
  model.node("Reshape", {"x", "cut"}, "c");
  set(model.node("Transpose", {"c"}, "t"), "perm", {0, 2, 1, 3, 4});
  model.node("Reshape", {"t", "join"}, "s");
  const Logical expected = Logical::counted({6, 2, 2}).picked({6, 2, 2}, [](const Dims& i) {
    return Dims{i[0] % 2 * 3 + i[0] / 2, i[1], i[2]};
  });
  EXPECT_EQ(run(model, {6, 2, 2}, "s", 24), expected.values);
}

TEST(Structure, ShuffledChannelsIntoAConvolutionAreMovedOnce) {
  OnnxBuilder model({-1, 6, 2, 2});
  model.integers("cut", {0, 2, 3, 2, 2});
  model.integers("join", {0, -1, 2, 2});
  model.floats("w", {1, 6, 1, 1}, counting(6));
  model.node("Reshape", {"x", "cut"}, "c");
  set(model.node("Transpose", {"c"}, "t"), "perm", {0, 2, 1, 3, 4});
  model.node("Reshape", {"t", "join"}, "s");
  model.node("Conv", {"s", "w"}, "a");
  model.node("Conv", {"s", "w"}, "b");
  model.node("Add", {"a", "b"}, "y");
  const Graph graph = import(model.output("y"));
  ASSERT_EQ(graph.nodes.size(), 5u);
  EXPECT_EQ(graph.nodes[1].name, "s");
  EXPECT_TRUE(std::holds_alternative<FloatMove>(graph.nodes[1].what));
}

TEST(Structure, DepthToSpaceAndBack) {
  const Logical x = Logical::counted({8, 2, 3});
  for (const bool depth_first : {true, false}) {
    OnnxBuilder model({-1, 8, 2, 3});
    set(set(model.node("DepthToSpace", {"x"}, "d"), "blocksize", 2), "mode", depth_first ? "DCR" : "CRD");
    const Logical expected = x.picked({2, 4, 6}, [&](const Dims& i) {
      const std::int64_t block = i[1] % 2 * 2 + i[2] % 2;
      return Dims{depth_first ? block * 2 + i[0] : i[0] * 4 + block, i[1] / 2, i[2] / 2};
    });
    EXPECT_EQ(run(model, {8, 2, 3}, "d", 48), expected.values);
  }
  OnnxBuilder model({-1, 2, 4, 6});
  set(model.node("SpaceToDepth", {"x"}, "d"), "blocksize", 2);
  const Logical expected = Logical::counted({2, 4, 6}).picked({8, 2, 3}, [](const Dims& i) {
    return Dims{i[0] % 2, i[1] * 2 + i[0] / 4, i[2] * 2 + i[0] / 2 % 2};
  });
  EXPECT_EQ(run(model, {2, 4, 6}, "d", 48), expected.values);
}

TEST(Structure, SplitGivesEveryPart) {
  OnnxBuilder model({-1, 6, 2, 2});
  model.integers("sizes", {1, 2, 3});
  auto& split = set(model.node("Split", {"x", "sizes"}, "a"), "axis", 1);
  split.add_output("b");
  split.add_output("c");
  set(model.node("Concat", {"c", "a", "b"}, "j"), "axis", 1);
  const Logical expected = Logical::counted({6, 2, 2}).picked({6, 2, 2}, [](const Dims& i) {
    return Dims{(i[0] + 3) % 6, i[1], i[2]};
  });
  EXPECT_EQ(run(model, {6, 2, 2}, "j", 24), expected.values);
}

TEST(Structure, PaddingByMirrorEdgeAndRepetition) {
  const Logical x = Logical::counted({2, 3, 4});
  const auto source = [](const std::string& mode, std::int64_t i, std::int64_t extent) {
    if (mode == "edge") return std::clamp<std::int64_t>(i, 0, extent - 1);
    if (mode == "wrap") return (i + extent) % extent;
    return i < 0 ? -i : i >= extent ? 2 * extent - 2 - i : i;
  };
  for (const char* mode : {"reflect", "edge", "wrap"}) {
    OnnxBuilder model({-1, 2, 3, 4}, 19);
    model.integers("pads", {0, 0, 1, 2, 0, 0, 2, 1});
    set(model.node("Pad", {"x", "pads"}, "p"), "mode", mode);
    const Logical expected = x.picked({2, 6, 7}, [&](const Dims& i) {
      return Dims{i[0], source(mode, i[1] - 1, 3), source(mode, i[2] - 2, 4)};
    });
    EXPECT_EQ(run(model, {2, 3, 4}, "p", 84), expected.values) << mode;
  }
}

TEST(Structure, ZeroPaddingBecomesTheWindows) {
  const auto convolved = [](bool separate) {
    OnnxBuilder model({-1, 1, 5, 5});
    model.floats("w", {1, 1, 3, 3}, counting(9));
    model.integers("pads", {0, 0, 1, 0, 0, 0, 2, 1});
    if (separate) model.node("Pad", {"x", "pads"}, "p");
    auto& conv = model.node("Conv", {separate ? "p" : "x", "w"}, "y");
    set(set(conv, "strides", {2, 2}), "pads", {separate ? 0 : 1, separate ? 1 : 1, separate ? 0 : 2, separate ? 0 : 1});
    return import(model.output("y"));
  };
  EXPECT_EQ(convolved(true).nodes.size(), 2u);
  EXPECT_EQ(convolved(true).fingerprint, convolved(false).fingerprint);
}

TEST(Structure, ZerosAroundAMaximumAreElementsWhereTheInputMayBeNegative) {
  const auto pooled = [](bool relu, float fill) {
    OnnxBuilder model({-1, 1, 5, 5});
    model.integers("pads", {0, 0, 1, 1, 0, 0, 1, 1});
    model.floats("fill", {}, {fill});
    model.node(relu ? "Relu" : "Identity", {"x"}, "r");
    model.node("Pad", {"r", "pads", "fill"}, "p");
    set(set(model.node("MaxPool", {"p"}, "y"), "kernel_shape", {3, 3}), "strides", {2, 2});
    return model.output("y");
  };
  EXPECT_EQ(window_of(import(pooled(true, 0)).nodes[2]).window.pad_top, 1);
  EXPECT_EQ(window_of(import(pooled(false, -3.4e38f)).nodes[1]).window.pad_bottom, 1);
  for (const float fill : {0.0f, 1.0f}) {
    const Graph graph = import(pooled(fill == 1, fill));
    const Node& pool = graph.nodes.back();
    EXPECT_EQ(window_of(pool).window.pad_top, 0);
    EXPECT_EQ(graph.nodes[static_cast<std::size_t>(pool.inputs[0])].shape, (Shape{7, 7, 1}));
  }
}

/// The nearest element by ONNX's definition, in double.
std::int64_t nearest(const std::string& mode, const std::string& rounding, std::int64_t o, double scale,
                     std::int64_t in, std::int64_t out) {
  double x = static_cast<double>(o) / scale;
  if (mode == "half_pixel" || (mode == "pytorch_half_pixel" && out > 1))
    x = (static_cast<double>(o) + 0.5) / scale - 0.5;
  if (mode == "pytorch_half_pixel" && out == 1) x = 0;
  if (mode == "align_corners") x = out == 1 ? 0 : static_cast<double>(o * (in - 1)) / static_cast<double>(out - 1);
  double place = std::floor(x);
  if (rounding == "ceil") place = std::ceil(x);
  if (rounding == "round_prefer_floor") place = std::ceil(x - 0.5);
  if (rounding == "round_prefer_ceil") place = std::floor(x + 0.5);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(place), 0, in - 1);
}

TEST(Structure, ResizeToTheNearestElement) {
  const Logical x = Logical::counted({2, 4, 4});
  for (const char* mode : {"asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners"}) {
    for (const char* rounding : {"floor", "ceil", "round_prefer_floor", "round_prefer_ceil"}) {
      for (const auto& [h, w] : {std::pair{8, 8}, {2, 2}, {6, 4}, {1, 7}, {12, 3}}) {
        OnnxBuilder model({-1, 2, 4, 4});
        model.integers("sizes", {1, 2, h, w});
        model.proto.mutable_graph()
            ->mutable_input(0)
            ->mutable_type()
            ->mutable_tensor_type()
            ->mutable_shape()
            ->mutable_dim(0)
            ->set_dim_value(1);
        auto& node = model.node("Resize", {"x", "", "", "sizes"}, "r");
        set(set(set(node, "mode", "nearest"), "coordinate_transformation_mode", mode), "nearest_mode", rounding);
        const Logical expected = x.picked({2, h, w}, [&, height = h, width = w](const Dims& i) {
          return Dims{i[0], nearest(mode, rounding, i[1], height / 4.0, 4, height),
                      nearest(mode, rounding, i[2], width / 4.0, 4, width)};
        });
        EXPECT_EQ(run(model, {2, 4, 4}, "r", 2 * h * w), expected.values) << mode << ' ' << rounding << ' ' << h;
      }
    }
  }
  OnnxBuilder old({-1, 2, 4, 4}, 7);
  attribute(old.node("Upsample", {"x"}, "r"), "scales", onnx::AttributeProto::FLOATS).mutable_floats()->Add(1);
  for (const float scale : {1.0f, 2.0f, 2.0f}) old.graph().mutable_node(0)->mutable_attribute(0)->add_floats(scale);
  const Logical twice = x.picked({2, 8, 8}, [](const Dims& i) { return Dims{i[0], i[1] / 2, i[2] / 2}; });
  EXPECT_EQ(run(old, {2, 4, 4}, "r", 128), twice.values);
}

TEST(Structure, ChannelsLastInputs) {
  OnnxBuilder model({-1, 4, 5, 3});
  set(model.node("Transpose", {"x"}, "t"), "perm", {0, 3, 1, 2});
  model.floats("w", {2, 3, 1, 1}, counting(6));
  model.node("Conv", {"t", "w"}, "y");
  const Graph graph = import(model.output("y"));
  EXPECT_EQ(graph.input_shape(), (Shape{4, 5, 3}));
  EXPECT_TRUE(graph.ends.input_channels_last);
  EXPECT_EQ(graph.nodes.size(), 2u);  // nothing is moved
}

TEST(Structure, ProductsOfMoreAxesAre1x1Convolutions) {
  OnnxBuilder model({-1, 4, 3, 2});
  model.integers("rows", {0, 4, -1});
  model.node("Reshape", {"x", "rows"}, "r");
  set(model.node("Transpose", {"r"}, "t"), "perm", {0, 2, 1});  // [N, L, C]
  model.floats("w", {4, 2}, counting(8));
  model.floats("b", {2}, {100, 200});
  model.node("MatMul", {"t", "w"}, "m");
  model.node("Add", {"m", "b"}, "a");
  const auto result = run(model, {4, 3, 2}, "a", 12);
  const Logical x = Logical::counted({4, 6});
  std::vector<double> expected;
  for (std::size_t l = 0; l < 6; ++l) {
    for (std::size_t k = 0; k < 2; ++k) {
      double sum = k == 0 ? 100 : 200;
      for (std::size_t c = 0; c < 4; ++c) sum += x.values[c * 6 + l] * static_cast<double>(1 + c * 2 + k);
      expected.push_back(sum);
    }
  }
  EXPECT_EQ(result, expected);
}

TEST(Affine, ConstantsPerChannel) {
  OnnxBuilder model({-1, 2, 1, 2});
  model.floats("mean", {2, 1, 1}, {1, 2});
  model.floats("std", {1, 2, 1, 1}, {0.5f, 4});
  model.floats("two", {}, {2});
  model.node("Sub", {"x", "mean"}, "a");
  model.node("Div", {"a", "std"}, "b");
  model.node("Mul", {"two", "b"}, "c");
  // x = 1 2 | 3 4
  EXPECT_EQ(run(model, {2, 1, 2}, "c", 4), (std::vector<double>{0, 4, 0.5, 1}));
  OnnxBuilder other({-1, 2, 1, 2});
  other.floats("c", {1, 1, 1, 2}, {1, 2});
  other.node("Mul", {"x", "c"}, "m");
  EXPECT_EQ(run(other, {2, 1, 2}, "m", 4), (std::vector<double>{1, 4, 3, 8}));
}

}  // namespace
}  // namespace qnudge::test
