// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cmath>

#include "import_support.hpp"
#include "naive_graph.hpp"

namespace qnudge::test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

onnx::NodeProto& resize(OnnxBuilder& model, const char* coordinates, const std::vector<float>& scales,
                        const char* mode = "linear") {
  model.floats("scales", {static_cast<std::int64_t>(scales.size())}, scales);
  auto& node = model.node("Resize", {"x", "", "scales"}, "r");
  return set(set(node, "mode", mode), "coordinate_transformation_mode", coordinates);
}

/// Two channels of rows times columns: a plane, which interpolation keeps; the second is twice the first.
Tensor plane(std::int64_t h, std::int64_t w) {
  Tensor x;
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t z = 0; z < w; ++z) {
      for (const double factor : {1.0, 2.0}) x.push_back(factor * static_cast<double>(10 * y + z));
    }
  }
  return x;
}

/// Between the places that ONNX's formulas name, an interpolated plane is the plane at that place.
TEST(Resize, InterpolatesBetweenThePlacesThatOnnxNames) {
  struct Case {
    const char* coordinates;
    float scale_h, scale_w;
    std::vector<double> rows, columns;
  };
  const Case cases[] = {
      {"half_pixel", 2, 1, {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3}, {0, 1, 2}},
      {"pytorch_half_pixel", 0.25f, 2, {0}, {0, 0.25, 0.75, 1.25, 1.75, 2}},
      {"half_pixel", 0.25f, 1, {1.5}, {0, 1, 2}},
      {"align_corners", 1.75f, 3, {0, 0.5, 1, 1.5, 2, 2.5, 3}, {0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2}},
      {"asymmetric", 2, 1.5f, {0, 0.5, 1, 1.5, 2, 2.5, 3, 3}, {0, 2.0 / 3, 4.0 / 3, 2}},
      {"half_pixel_symmetric",
       0.6f,
       1,
       {2 * (1 - 2 / 2.4) + 1 / 1.2 - 0.5, 2 * (1 - 2 / 2.4) + 3 / 1.2 - 0.5},
       {0, 1, 2}}};
  for (const Case& c : cases) {
    OnnxBuilder model({-1, 2, 4, 3}, 19);
    resize(model, c.coordinates, {1, 1, c.scale_h, c.scale_w});
    const Graph graph = import(model.output("r"));
    ASSERT_THAT(graph.nodes, SizeIs(2)) << c.coordinates;
    const Tensor y = NaiveGraph(graph).run(plane(4, 3));
    ASSERT_EQ(y.size(), 2 * c.rows.size() * c.columns.size()) << c.coordinates;
    std::size_t i = 0;
    for (const double row : c.rows) {
      for (const double column : c.columns) {
        EXPECT_NEAR(y[i++], 10 * row + column, 1e-5) << c.coordinates;
        EXPECT_NEAR(y[i++], 2 * (10 * row + column), 1e-5) << c.coordinates;
      }
    }
    const ScratchFile file;
    export_float_onnx(graph, file.path());
    EXPECT_EQ(import_onnx(file.path()).fingerprint, graph.fingerprint);
  }
}

/// floor(5 * float(3.0 / 5)) is 2 or 3 by the rounding of the scale; the extent that was asked for counts.
TEST(Resize, SizesAreMetByTheScale) {
  for (std::int64_t in = 1; in <= 40; ++in) {
    for (const std::int64_t out : {1, 7, 13, 29, 83}) {
      OnnxBuilder model({1, 2, in, 3}, 18);
      model.integers("sizes", {out, 6});
      auto& node = set(model.node("Resize", {"x", "", "", "sizes"}, "r"), "mode", "linear");
      set(node, "axes", {2, 3});
      const Graph graph = import(model.output("r"));
      ASSERT_EQ(graph.nodes.back().shape, (Shape{out, 6, 2})) << in;
      const ScratchFile file;
      export_float_onnx(graph, file.path());
      ASSERT_EQ(import_onnx(file.path()).nodes.back().shape, (Shape{out, 6, 2})) << in;
    }
  }
}

TEST(Resize, LinesOldSpellingsAndScalesOfOne) {
  OnnxBuilder line({-1, 2, 4});
  resize(line, "align_corners", {1, 1, 1.75f});
  EXPECT_EQ(import(line.output("r")).nodes.back().shape, (Shape{7, 1, 2}));
  OnnxBuilder old({-1, 2, 4, 3}, 9);
  old.floats("scales", {4}, {1, 1, 2, 2});
  set(old.node("Upsample", {"x", "scales"}, "r"), "mode", "linear");
  const Graph graph = import(old.output("r"));
  EXPECT_EQ(graph.nodes.back().shape, (Shape{8, 6, 2}));
  EXPECT_EQ(std::get<FloatMix>(graph.nodes.back().what).coordinates, ResizeCoordinates::asymmetric);
  OnnxBuilder same({-1, 2, 4, 3});
  resize(same, "half_pixel", {1, 1, 1, 1});
  same.node("Relu", {"r"}, "y");
  EXPECT_THAT(import(same.output("y")).nodes, SizeIs(2));
}

TEST(Resize, SaysWhatItDoesNotInterpolate) {
  const auto refused = [](const char* coordinates, const std::vector<float>& scales, bool antialias = false) {
    OnnxBuilder model({-1, 2, 4, 3}, 19);
    auto& node = resize(model, coordinates, scales);
    if (antialias) set(node, "antialias", 1);
    return refusal(model.output("r"));
  };
  EXPECT_THAT(refused("half_pixel", {1, 1, 2, 2}, true), HasSubstr("antialias"));
  EXPECT_THAT(refused("tf_half_pixel_for_nn", {1, 1, 2, 2}), HasSubstr("'tf_half_pixel_for_nn'"));
  EXPECT_THAT(refused("tf_crop_and_resize", {1, 1, 2, 2}), HasSubstr("'tf_crop_and_resize'"));
  EXPECT_THAT(refused("half_pixel", {1, 2, 2, 2}), HasSubstr("between channels"));
  OnnxBuilder cubic({-1, 2, 4, 3}, 13);
  resize(cubic, "half_pixel", {1, 1, 2, 2}, "cubic");
  EXPECT_THAT(refusal(cubic.output("r")), HasSubstr("nearest and linear are supported"));
}

}  // namespace
}  // namespace qnudge::test
