// SPDX-License-Identifier: MIT
// cuDNN's own verdict, without a GPU. A described device needs the toolkit's stub of the driver library to get as far
// as loading the code; without it, or without cuDNN, these tests are skipped.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "cuda/cudnn/conv_plan.hpp"
#include "cuda/cudnn/plan_ladder.hpp"
#include "cuda/cudnn/plan_workers.hpp"
#include "cuda/tools/described_devices.hpp"
#include "cuda/tools/model_shapes.hpp"
#include "fake_cudnn.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/plain_task.hpp"
#include "small_task.hpp"

namespace qnudge::cuda {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::device);
    return e.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(CudnnLibrary, SaysWhatIsMissing) {
  EXPECT_THAT(message_of([] { load_cudnn("libno_such_cudnn.so.9"); }),
              HasSubstr("cuDNN 9 cannot be loaded: libno_such"));
  EXPECT_THAT(message_of([] { load_cudnn("libz.so.1"); }), HasSubstr("libz.so.1: has no function cudnnGetVersion"));
}

TEST(CudnnLibrary, KnowsItsVersions) {
  EXPECT_EQ(cudnn_version_problem(91900, 91900), "");
  EXPECT_EQ(cudnn_version_problem(90800, 91900), "");
  EXPECT_EQ(cudnn_version_problem(90701, 91900), "cuDNN 9.7.1 is installed; qnudge needs 9.8.0 or newer");
  EXPECT_EQ(cudnn_version_problem(80907, 91900), "cuDNN 8.9.7 is installed; this build needs cuDNN 9");
  EXPECT_EQ(cudnn_version_problem(100100, 91900), "cuDNN 10.1.0 is installed; this build needs cuDNN 9");
}

/// The inputs of a searched layer are there once, whatever the number of candidates.
TEST(ConvGraphs, AreRefusedForTensorsThatIndicesCannotCount) {
  ConvTask task;
  task.role = ConvRole::wide;
  task.candidates = 8;
  task.in = {1, 116'520, 2304};
  task.out = {1, 116'520, 256};
  task.filter = {256, 1, 1, 2304};
  EXPECT_EQ(graph_refusal(task, ConvForm::whole), "") << "inputs of 2.7e8 elements, outputs of 2.4e8";
  task.in.w = task.out.w = kMaxTensorElements / 2304;
  EXPECT_EQ(graph_refusal(task, ConvForm::whole), "");
  ++task.in.w, ++task.out.w;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("2^31")) << "of inputs";
  task.candidates = 16;
  task.in.w = task.out.w = kMaxTensorElements / (16 * 256);
  EXPECT_EQ(graph_refusal(task, ConvForm::whole), "");
  ++task.in.w, ++task.out.w;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("2^31")) << "of outputs";
  task.role = ConvRole::shared;
  task.in.w = task.out.w = kMaxTensorElements / (16 * 2304);
  EXPECT_EQ(graph_refusal(task, ConvForm::whole), "");
  ++task.in.w, ++task.out.w;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("2^31")) << "inputs of every candidate";
}

/// One graph sees the filters of all candidates, or of one.
TEST(ConvGraphs, AreRefusedForFiltersThatIndicesCannotCount) {
  ConvTask task;  // VGG16's first product
  task.role = ConvRole::wide;
  task.images = 4;
  task.in = {7, 7, 512};
  task.out = {1, 1, 4096};
  task.filter = {4096, 7, 7, 512};
  task.geometry.window = {.r = 7, .s = 7};
  for (const auto& [candidates, taken] : {std::pair{1, true}, {20, true}, {21, false}, {32, false}, {64, false}}) {
    task.candidates = candidates;
    EXPECT_EQ(graph_refusal(task, ConvForm::whole).empty(), taken) << candidates;
    EXPECT_EQ(graph_refusal(task, ConvForm::sliced), "") << candidates;
  }
  task.role = ConvRole::shared;
  EXPECT_EQ(graph_refusal(task, ConvForm::whole), "") << "the filter of all candidates is one";
}

/// Engines contract multiplications and additions, which only exact products survive.
TEST(ConvGraphs, TakePowersOfTwoAloneForAdditions) {
  const test::FakeCudnn fake;
  const auto build = [&](float m_conv, float m_residual) {
    ConvTask task = small_task(ConvRole::single, 1);
    task.epilogue.addition = FusedAddition{m_conv, m_residual, -128, 127};
    make_conv_graph(fake.api(), PlanTarget(fake.handle()), task, ConvForm::whole);
  };
  for (const float power : {1.0f, 0.5f, 2.0f, 0x1p-30f, 0x1p20f, 0x1p-126f}) {
    EXPECT_NO_THROW(build(power, 1));
    EXPECT_NO_THROW(build(1, power));
  }
  constexpr float kInfinite = std::numeric_limits<float>::infinity();
  for (const float other : {0.3f, 3.0f, 0.0f, -0.5f, kInfinite, std::nanf("")}) {
    EXPECT_THROW(build(other, 1), Error) << other;
    EXPECT_THROW(build(1, other), Error) << other;
  }
}

/// A convolution and then the addition gives the bytes of the two fused.
TEST(ConvTasks, TheAdditionCanBeTakenApart) {
  ConvTask task = small_task(ConvRole::shared, 3);
  task.epilogue.low = -100;
  task.epilogue.addition = FusedAddition{0.5f, 2.0f, 0, 90};
  const auto count = static_cast<std::size_t>(output_elements(task));
  std::vector<std::int8_t> x(count), w(static_cast<std::size_t>(task.filter.size())), residual(count), fused(count),
      apart(count);
  std::uint32_t state = 1;
  for (auto* codes : {&x, &w, &residual}) {
    for (auto& code : *codes) code = static_cast<std::int8_t>((state = state * 1664525u + 1013904223u) >> 24);
  }
  const std::vector<float> bias(16, 3.0f), multiplier(16, 0x1p-9f);
  ConvPointers at{x.data(), w.data(), bias.data(), multiplier.data(), residual.data(), fused.data(), nullptr};
  const auto run = [&](const auto& op) {
    for (std::size_t i = 0; i < count; ++i) op(static_cast<std::int64_t>(i));
  };
  run(plain_conv<std::int8_t>(task, at));
  at.y = apart.data();
  run(plain_conv<std::int8_t>(without_addition(task), at));
  EXPECT_NE(fused, apart);
  run(addition_apart(task, at));
  EXPECT_EQ(fused, apart);
}

TEST(CudnnLibrary, SaysWhichNvrtcIsMissing) {
  bool usable = true;
  EXPECT_THAT(nvrtc_description(99, usable), HasSubstr("NVRTC 99 cannot be loaded: libnvrtc.so.99"));
  EXPECT_FALSE(usable);
}

class Deviceless : public testing::Test {
 protected:
  void SetUp() override {
    if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) == nullptr) GTEST_SKIP() << "no libcuda.so.1, not even the stub";
    try {
      api_ = &cudnn();
    } catch (const Error& e) {
      GTEST_SKIP() << e.what();
    }
  }
  PlanTarget target() const { return {*api_, kDescribedDevices.front().json()}; }
  const Cudnn* api_ = nullptr;
};

TEST_F(Deviceless, GraphsHaveTheLayoutsOfTheContract) {
  const std::string single = make_conv_graph(*api_, target(), small_task(ConvRole::single, 1), ConvForm::whole).text;
  EXPECT_THAT(single, HasSubstr("t1 type3 [4,16,8,8] (1024,1,128,16)"));  // [N,H,W,C]
  EXPECT_THAT(single, HasSubstr("t2 type3 [16,16,3,3] (144,1,48,16)"));   // [K,R,S,C]
  EXPECT_THAT(single, HasSubstr("t6 type3 [4,16,8,8] (1024,1,128,16)"));
  const std::string wide = make_conv_graph(*api_, target(), small_task(ConvRole::wide, 5), ConvForm::whole).text;
  EXPECT_THAT(wide, HasSubstr("t1 type3 [4,16,8,8] (1024,1,128,16)"));
  EXPECT_THAT(wide, HasSubstr("t2 type3 [80,16,3,3] (144,1,48,16)"));
  EXPECT_THAT(wide, HasSubstr("t6 type3 [4,80,8,8] (5120,1,640,80)"));
  const std::string sliced = make_conv_graph(*api_, target(), small_task(ConvRole::wide, 5), ConvForm::sliced).text;
  EXPECT_THAT(sliced, HasSubstr("t6 type3 [4,16,8,8] (5120,1,640,80)"));
  const std::string shared = make_conv_graph(*api_, target(), small_task(ConvRole::shared, 5), ConvForm::whole).text;
  EXPECT_THAT(shared, HasSubstr("t1 type3 [4,16,8,8,5] (5120,1,640,80,16)"));  // [N,H,W,P,C]
  EXPECT_THAT(shared, HasSubstr("t2 type3 [16,16,3,3,1] (144,1,48,16,16)"));
  EXPECT_THAT(shared, HasSubstr("t6 type3 [4,16,8,8,5] (5120,1,640,80,16)"));
  EXPECT_THAT(shared, HasSubstr("conv s1,1,1 d1,1,1 p1,1,0 q1,1,0"));
}

TEST_F(Deviceless, EpiloguesAreWrittenOutInOrder) {
  // add, multiply, max, min, add, subtract: bias, scale, clamp, explicit rounding.
  ConvTask task = small_task(ConvRole::single, 1);
  const auto operations = [&] {
    const std::string text = make_conv_graph(*api_, target(), task, ConvForm::whole).text;
    std::string all;
    for (std::size_t at = text.find("op"); at != std::string::npos; at = text.find("op", at + 1)) {
      all += text.substr(at + 2, text.find(';', at) - at - 2) + " ";
    }
    return all;
  };
  EXPECT_EQ(operations(), "0 1 3 2 0 9 ");
  task.epilogue.addition = FusedAddition{};
  EXPECT_EQ(operations(), "0 1 3 2 0 9 1 1 0 3 2 0 9 ");
  task.epilogue = {};
  task.epilogue.float_output = true;
  EXPECT_EQ(operations(), "0 1 ");
  task.epilogue.low = 0;
  EXPECT_EQ(operations(), "0 1 3 ");
}

TEST_F(Deviceless, RefusalsAreNamed) {
  ConvTask task = small_task(ConvRole::shared, 2);
  task.geometry.spread_h = 2;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("transposed"));
  task = small_task(ConvRole::shared, 2);
  task.geometry.groups = 16;
  task.filter.c = 1;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("depthwise"));
  task = small_task(ConvRole::wide, 2);
  task.geometry.groups = 2;
  task.filter.c = 8;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("grouped"));
  EXPECT_EQ(graph_refusal(task, ConvForm::sliced), "");
  task = small_task(ConvRole::shared, 2);
  EXPECT_THAT(graph_refusal(task, ConvForm::sliced), HasSubstr("sliced"));
  task.images = std::int64_t{1} << 20;
  EXPECT_THAT(graph_refusal(task, ConvForm::whole), HasSubstr("2^31"));
}

TEST(HalfForms, AreOfferedInsideTheirBoundAlone) {
  ConvTask task = small_task(ConvRole::wide, 2);  // 144 taps
  const std::vector<ConvForm> all = {ConvForm::whole, ConvForm::sliced, ConvForm::whole.in_half(),
                                     ConvForm::sliced.in_half()};
  EXPECT_EQ(forms_of(task, 8), all);
  for (const auto& [taps, bits, exact] :
       {std::tuple{1023, 8, true}, {1024, 8, false}, {16383, 4, true}, {16384, 4, false}, {65535, 2, true}}) {
    task.filter = {16, 1, 1, taps};
    EXPECT_EQ(half_is_exact(task, bits), exact) << taps << " taps, " << bits << " bits";
    EXPECT_EQ(forms_of(task, bits).size(), exact ? 4u : 2u);
  }
}

TEST_F(Deviceless, HalfFormsPlanWithTheSameEpilogue) {
  for (const auto& [role, candidates] : {std::pair{ConvRole::single, 1}, {ConvRole::wide, 5}, {ConvRole::shared, 3}}) {
    const ConvTask task = small_task(role, candidates);
    const std::string text = make_conv_graph(*api_, target(), task, ConvForm::whole.in_half()).text;
    EXPECT_THAT(text, HasSubstr("t1 type2 "));
    EXPECT_THAT(text, HasSubstr("t2 type2 "));
    EXPECT_THAT(text, HasSubstr("t6 type3 "));
    const PlanOutcome outcome = plan_conv(*api_, target(), task, ConvForm::whole.in_half());
    EXPECT_TRUE(outcome.accepted) << task_text(task) << ": " << outcome.reason;
  }
}

/// Of half activations: no rounding but the conversion to the output, and no other form than the same in slices.
TEST_F(Deviceless, HalvesPlanOnEveryArchitecture) {
  int asked = 0;
  for (const auto& [role, candidates] :
       {std::pair{ConvRole::single, 1}, {ConvRole::wide, 33}, {ConvRole::shared, 32}}) {
    for (const bool fused : {false, true}) {
      ConvTask task = small_task(role, candidates);
      task.half = true;
      task.epilogue.high = 65504;
      if (fused) task.epilogue.addition = FusedAddition{1, 0.5f, 0, 6};
      EXPECT_EQ(forms_of(task, 8).size(), role == ConvRole::wide ? 2u : 1u);
      const std::string text = make_conv_graph(*api_, target(), task, ConvForm::whole).text;
      EXPECT_THAT(text, HasSubstr("t1 type2 "));
      EXPECT_THAT(text, HasSubstr("t2 type2 "));
      EXPECT_THAT(text, HasSubstr("t6 type2 "));
      EXPECT_THAT(text, Not(HasSubstr("op9;"))) << "subtraction belongs to the rounding of codes";
      EXPECT_EQ(text.find("t5 type2 ") != text.npos, fused);
      for (const DescribedDevice& device : kDescribedDevices) {
        const PlanOutcome outcome = plan_conv(*api_, PlanTarget(*api_, device.json()), task, ConvForm::whole);
        EXPECT_TRUE(outcome.accepted) << device.name << ", " << task_text(task) << ": " << outcome.reason;
        ++asked;
      }
    }
  }
  EXPECT_EQ(asked, 24);
}

/// Numbers of the knob that picks a kernel, in the order of the choices, of one engine.
std::vector<std::int64_t> kernels_of(const std::vector<EngineChoice>& choices, std::int64_t engine) {
  std::vector<std::int64_t> kernels;
  for (const EngineChoice& choice : choices) {
    if (choice.engine != engine) continue;
    for (const Knob& knob : choice.knobs) {
      if (knob.type == CUDNN_KNOB_TYPE_KERNEL_CFG) kernels.push_back(knob.value);
    }
  }
  return kernels;
}

/// cuDNN 9.19's engine for aligned channels is a Hopper kernel in 17 shapes of tiles and clusters.
TEST_F(Deviceless, TunersChooseAmongAllHopperTilesEachOnce) {
  if (api_->version() / 100 != 919) GTEST_SKIP() << "numbers of cuDNN 9.19";
  for (const std::int64_t channels : {64, 128, 512}) {
    for (const ConvRole role : {ConvRole::single, ConvRole::wide, ConvRole::shared}) {
      ConvTask task = small_task(role, role == ConvRole::single ? 1 : 32);
      task.in.c = task.out.c = task.filter.k = task.filter.c = channels;
      if (role == ConvRole::shared) task.epilogue.addition = FusedAddition{};
      const auto choices = engine_choices(*api_, target(), task, ConvForm::whole);
      SCOPED_TRACE(task_text(task));
      EXPECT_THAT(kernels_of(choices, 2),
                  testing::UnorderedElementsAre(17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 45, 46, 47, 48));
      EXPECT_EQ(std::set<EngineChoice>(choices.begin(), choices.end()).size(), choices.size());
      ASSERT_GT(choices.size(), 19u);
      EXPECT_EQ(choices[0], (EngineChoice{2, {{CUDNN_KNOB_TYPE_KERNEL_CFG, 23}}})) << "the heuristics come first";
      EXPECT_EQ(choices[1].engine, 7);
      for (std::size_t i = 2; i < 18; ++i) EXPECT_EQ(choices[i].engine, 2) << "aligned ones before general ones";
      for (std::size_t i = 18; i < choices.size(); ++i) EXPECT_EQ(choices[i].engine, 7);
    }
  }
}

TEST_F(Deviceless, ChoicesAreMadeAgainFromTheirNumbers) {
  const ConvTask task = small_task(ConvRole::wide, 32);
  const auto choices = engine_choices(*api_, target(), task, ConvForm::whole);
  ASSERT_GT(choices.size(), 2u);
  const ConvGraph graph = make_conv_graph(*api_, target(), task, ConvForm::whole);
  const auto config = make_config(*api_, target(), graph, choices.back());
  ASSERT_TRUE(config.has_value());
  std::vector<Descriptor> knobs;
  knobs.emplace_back(*api_, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "a knob's value");
  ASSERT_EQ(config->config.fill(CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, knobs), 1);
  EXPECT_EQ(knobs[0].values<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 1).at(0), choices.back().knobs[0].value);
  const PlanOutcome outcome = plan_choice(*api_, target(), task, ConvForm::whole, choices.back());
  EXPECT_TRUE(outcome.accepted) << outcome.reason;
  EXPECT_THAT(outcome.engine, testing::StartsWith(choice_text(choices.back())));
  for (const EngineChoice& strange :
       {EngineChoice{choices[0].engine, {{CUDNN_KNOB_TYPE_KERNEL_CFG, 4000}}},
        EngineChoice{choices[0].engine, {{4000, 1}}}, EngineChoice{4000, {}}, EngineChoice{-1, {}}}) {
    const PlanOutcome refused = plan_choice(*api_, target(), task, ConvForm::whole, strange);
    EXPECT_FALSE(refused.accepted);
    EXPECT_EQ(refused.reason, choice_text(strange) + " is not for this graph");
  }
}

/// cuDNN itself, asked by several threads at once.
TEST_F(Deviceless, PlansAreCompiledSideBySide) {
  const ConvTask task = small_task(ConvRole::shared, 3);
  auto choices = engine_choices(*api_, target(), task, ConvForm::whole);
  ASSERT_GT(choices.size(), 7u);
  choices.resize(7);
  choices.push_back({choices[0].engine, {{4000, 1}}});
  std::vector<PlanOutcome> outcomes(choices.size());
  PlanWorkers workers([&] { return std::make_unique<PlanTarget>(target()); }, {}, 4);
  workers.for_each(choices.size(), [&](std::size_t i, const PlanTarget& own) {
    outcomes[i] = plan_choice(*api_, own, task, ConvForm::whole, choices[i]);
  });
  for (std::size_t i = 0; i + 1 < choices.size(); ++i) {
    EXPECT_TRUE(outcomes[i].accepted) << outcomes[i].reason;
    EXPECT_THAT(outcomes[i].engine, testing::StartsWith(choice_text(choices[i])));
  }
  EXPECT_FALSE(outcomes.back().accepted);
}

TEST_F(Deviceless, TransposedConvolutionsPlanByPhases) {
  for (const auto& [role, candidates] : {std::pair{ConvRole::single, 1}, {ConvRole::wide, 5}, {ConvRole::shared, 3}}) {
    for (const bool flat : {true, false}) {  // a signal of stride 2, an image of stride 2 both ways
      ConvTask task = small_task(role, candidates);
      task.in = {8, flat ? 1 : 8, 16};
      task.out = {16, flat ? 1 : 16, 16};
      task.filter = {16, 4, flat ? 1 : 4, 16};
      task.geometry.window = {.r = 4,
                              .s = flat ? 1 : 4,
                              .pad_top = 2,
                              .pad_left = flat ? 0 : 2,
                              .pad_bottom = 2,
                              .pad_right = flat ? 0 : 2};
      task.geometry.spread_h = 2;
      task.geometry.spread_w = flat ? 1 : 2;
      ASSERT_EQ(forms_of(task, 8).front(), ConvForm::phases);
      const PlanOutcome outcome = plan_conv(*api_, target(), task, ConvForm::phases);
      EXPECT_TRUE(outcome.accepted) << task_text(task) << ": " << outcome.reason;
    }
  }
}

/// A few layers that differ in kind: a stem, odd channels, a stride, a shortcut, a product, a signal, an addition.
TEST_F(Deviceless, RepresentativeLayersPlanOnEveryArchitecture) {
  std::set<std::string> seen;
  int asked = 0;
  for (const ModelShapes& model : published_models()) {
    const bool wanted = model.name.starts_with("ResNet18, 224") || model.name.starts_with("CNN autoencoder, SWaT");
    if (!wanted) continue;
    for (const LayerShape& layer : model.layers) {
      const std::string kind = fmt::format("{} {} {} {} {}", model.name, layer.filter.r, layer.geometry.window.stride_h,
                                           layer.addition, layer.float_output);
      if (!seen.insert(kind).second) continue;
      for (const ConvTask& task : tasks_of(layer, 33)) {
        const DescribedDevice& device = kDescribedDevices[static_cast<std::size_t>(asked++) % kDescribedDevices.size()];
        const PlanOutcome outcome = plan_conv(*api_, PlanTarget(*api_, device.json()), task, ConvForm::whole);
        EXPECT_TRUE(outcome.accepted) << device.name << ", " << task_text(task) << ": " << outcome.reason;
        EXPECT_EQ(outcome.plan, nullptr) << "nothing can be loaded for a device that is not here";
      }
    }
  }
  EXPECT_GE(asked, 16);
}

}  // namespace
}  // namespace qnudge::cuda
