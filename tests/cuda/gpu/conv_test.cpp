// SPDX-License-Identifier: MIT
// Every kind of plan against the definition, on values that sit where arithmetic could slip: ties, saturation,
// accumulators near 2^24, odd numbers of candidates.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <random>

#include "cuda/cudnn/plan_ladder.hpp"
#include "cuda/cudnn/plan_workers.hpp"
#include "cuda/runtime/cudnn_convs.hpp"
#include "gpu.hpp"
#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

/// A task with its operands on the host.
struct Operands {
  std::vector<std::int8_t> x, w, residual;
  std::vector<float> bias, multiplier;

  Operands(const ConvTask& task, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto codes = [&](std::int64_t count) {
      std::vector<std::int8_t> all(static_cast<std::size_t>(count));
      const int spread = 1 + static_cast<int>(random() % 128);
      for (auto& v : all) {
        const int draw = static_cast<int>(random() % 16);
        v = static_cast<std::int8_t>(draw == 0   ? -128
                                     : draw == 1 ? 127
                                                 : static_cast<int>(random() % (2 * spread)) - spread);
      }
      return all;
    };
    const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
    x = codes(task.images * task.in.size() * (task.role == ConvRole::shared ? task.candidates : 1));
    w = codes(sets * task.filter.size());
    residual = codes(output_elements(task));
    for (std::int64_t k = 0; k < sets * task.filter.k; ++k) {
      // Powers of two make ties frequent; the others are never exact.
      const double scale = std::ldexp(1.0, -3 - static_cast<int>(random() % 14));
      multiplier.push_back(static_cast<float>(k % 2 == 0 ? scale : scale * 1.37));
      bias.push_back(static_cast<float>(static_cast<int>(random() % (1 << 24)) - (1 << 23)) *
                     (k % 3 == 0 ? 1.0f : 0.0f));
    }
  }
};

std::vector<std::uint8_t> expected(const ConvTask& task, const Operands& o) {
  std::vector<std::uint8_t> y(static_cast<std::size_t>(output_elements(task)) * (task.epilogue.float_output ? 4 : 1));
  const auto op = plain_conv<std::int8_t>(
      task, {o.x.data(), o.w.data(), o.bias.data(), o.multiplier.data(), o.residual.data(), y.data(), nullptr});
  for (std::int64_t i = 0; i < output_elements(task); ++i) op(i);
  return y;
}

std::vector<std::uint8_t> found(Device& device, const ConvTask& task, const Operands& o, const ConvHandle& conv) {
  const DeviceArray<std::int8_t> x(device, std::span(o.x), "x"), w(device, std::span(o.w), "w"),
      residual(device, std::span(o.residual), "residual");
  const DeviceArray<float> bias(device, std::span(o.bias), "bias"), m(device, std::span(o.multiplier), "m");
  const auto bytes = static_cast<std::size_t>(output_elements(task)) * (task.epilogue.float_output ? 4 : 1);
  const DeviceArray<std::uint8_t> y(device, bytes, "y");
  const Memory workspace = device.allocate(conv->workspace_bytes(), "workspace");
  Program program;
  program.add(0,
              RunConv{conv, {x.data(), w.data(), bias.data(), m.data(), residual.data(), y.data(), workspace.get()}});
  device.run(program);
  return y.get();
}

ConvTask task_of(ConvRole role, std::int64_t candidates, Shape in, FilterShape filter, ConvGeometry geometry) {
  const Window& w = geometry.window;
  ConvTask task{role, 3, candidates, in, {}, filter, geometry, {}};
  task.out = {window_extent(in.h, w.r, w.stride_h, w.dilation_h, w.pad_top, w.pad_bottom, geometry.spread_h),
              window_extent(in.w, w.s, w.stride_w, w.dilation_w, w.pad_left, w.pad_right, geometry.spread_w), filter.k};
  return task;
}

Window same(std::int64_t size, std::int64_t stride) {
  const std::int64_t pad = size / 2;
  return {.r = size,
          .s = size,
          .stride_h = stride,
          .stride_w = stride,
          .pad_top = pad,
          .pad_left = pad,
          .pad_bottom = pad,
          .pad_right = pad};
}

std::vector<ConvTask> geometries(ConvRole role, std::int64_t candidates) {
  std::vector<ConvTask> tasks;
  const auto add = [&](Shape in, FilterShape filter, ConvGeometry geometry) {
    tasks.push_back(task_of(role, candidates, in, filter, geometry));
  };
  add({8, 8, 16}, {32, 3, 3, 16}, {same(3, 1)});
  add({8, 8, 3}, {16, 3, 3, 3}, {same(3, 1)});                                          // an image's channels
  add({9, 7, 16}, {10, 3, 3, 16}, {same(3, 2)});                                        // odd extents, few outputs
  add({8, 8, 64}, {128, 1, 1, 64}, {same(1, 2)});                                       // a shortcut
  add({12, 12, 3}, {64, 7, 7, 3}, {same(7, 2)});                                        // a stem
  add({1, 1, 512}, {100, 1, 1, 512}, {});                                               // a classifier
  add({4, 4, 32}, {40, 4, 4, 32}, {{.r = 4, .s = 4}});                                  // a product over pixels
  add({16, 1, 20}, {24, 9, 1, 20}, {{.r = 9, .s = 1, .pad_top = 4, .pad_bottom = 4}});  // a signal
  add({8, 8, 32}, {64, 3, 3, 8}, {same(3, 1), 4});                                      // grouped
  add({8, 8, 32}, {32, 3, 3, 1}, {same(3, 1), 32});                                     // depthwise
  add({8, 8, 16}, {16, 3, 3, 16},
      {{.r = 3,
        .s = 3,
        .dilation_h = 2,
        .dilation_w = 2,
        .pad_top = 2,
        .pad_left = 1,
        .pad_bottom = 1,
        .pad_right = 2}});
  add({16, 1, 16}, {8, 4, 1, 16}, {{.r = 4, .s = 1, .pad_top = 2, .pad_bottom = 2}, 1, 2, 1, true});  // transposed
  add({2, 2, 1024}, {64, 3, 3, 1024}, {same(3, 1)});  // accumulators beyond 2^24
  return tasks;
}

struct Candidates {
  ConvRole role;
  std::int64_t count;
};

std::string text_of(const Candidates& c) {
  const char* const role = c.role == ConvRole::single ? "single" : c.role == ConvRole::wide ? "wide" : "shared";
  return role + std::to_string(c.count);
}
void PrintTo(const Candidates& c, std::ostream* out) {
  *out << text_of(c);
}

/// Each is a test of its own, so that its plans can be compiled beside the others'.
class GpuConv : public test::GpuTest, public testing::WithParamInterface<Candidates> {};
INSTANTIATE_TEST_SUITE_P(, GpuConv,
                         testing::Values(Candidates{ConvRole::single, 1}, Candidates{ConvRole::wide, 1},
                                         Candidates{ConvRole::wide, 5}, Candidates{ConvRole::wide, 32},
                                         Candidates{ConvRole::shared, 3}, Candidates{ConvRole::shared, 33}),
                         [](const auto& instance) { return text_of(instance.param); });

TEST_P(GpuConv, EveryGeometryAndEpilogueEqualsTheDefinition) {
  const auto device = open_cuda_device();
  const auto [role, candidates] = GetParam();
  auto seed = static_cast<std::uint64_t>(100 * candidates);
  std::map<std::string, int> chosen;
  int number = 0;
  const int step = test::sample_step();
  for (ConvTask task : geometries(role, candidates)) {
    for (const int epilogue : {0, 1, 2, 3}) {
      // Steps that have no divisor in common with the number of epilogues or geometries reach all of either.
      if (number++ % step != 0) continue;
      task.epilogue = {};
      task.epilogue.low = epilogue % 2 == 0 ? 0 : -128;
      task.epilogue.float_output = epilogue == 2;
      if (epilogue == 3) task.epilogue.addition = FusedAddition{0.5f, 2.0f, 0, 127};
      const Operands operands(task, ++seed);
      const ConvHandle conv = device->prepare_conv(task, 8);
      const std::string& description = conv->description();
      ASSERT_EQ(found(*device, task, operands, conv), expected(task, operands))
          << fmt::format("role {} P {} in {}x{}x{} K {} epilogue {}: {}", static_cast<int>(role), candidates, task.in.h,
                         task.in.w, task.in.c, task.filter.k, epilogue, description);
      ++chosen[description.substr(0, description.find(':'))];
    }
  }
  for (const auto& [kind, count] : chosen) RecordProperty(kind, count);
}

/// The ladder's half-precision rungs, which int8 engines leave nothing to do for most layers.
TEST_P(GpuConv, HalfFormsEqualTheDefinitionInsideTheirBound) {
  const auto device = open_cuda_device();
  const Cudnn& api = cudnn();
  const auto handles = std::make_shared<CudnnHandles>(api, 1);
  const PlanTarget target(handles->first());
  const auto [role, candidates] = GetParam();
  int planned = 0, number = 0;
  for (const ConvTask& task : geometries(role, candidates)) {
    if (number++ % test::sample_step() != 0) continue;
    for (const ConvForm& form : forms_of(task, 8)) {
      if (!form.half) continue;
      const PlanOutcome outcome = plan_conv(api, target, task, form);
      if (!outcome.plan) continue;
      const Operands operands(task, static_cast<std::uint64_t>(++planned));
      ASSERT_EQ(found(*device, task, operands, make_cudnn_conv(handles, outcome.plan, task, form)),
                expected(task, operands))
          << task_text(task) << ", " << form_text(form);
    }
  }
  EXPECT_GT(planned, 0);
}

using GpuChoices = test::GpuTest;

/// What a tuner chooses among: every tile, and the addition apart.
TEST_F(GpuChoices, EqualTheDefinition) {
  const auto device = open_cuda_device();
  const Cudnn& api = cudnn();
  const auto handles = std::make_shared<CudnnHandles>(api, 1);
  PlanWorkers workers([&] { return std::make_unique<PlanTarget>(api); }, [] { cudaSetDevice(0); });
  const PlanStore none({}, "none");
  const PlanLadder ladder(api, 0, none, EngineHints::built_in());
  int tried = 0;
  for (ConvTask task : {task_of(ConvRole::shared, 3, {8, 8, 64}, {64, 3, 3, 64}, {same(3, 1)}),
                        task_of(ConvRole::wide, 5, {9, 7, 16}, {48, 3, 3, 16}, {same(3, 2)})}) {
    if (task.role == ConvRole::shared) task.epilogue.addition = FusedAddition{0.5f, 2.0f, 0, 127};
    const Operands operands(task, 1);
    const auto wanted = expected(task, operands);
    const auto rivals = ladder.rivals(PlanTarget(handles->first()), task, ConvForm::whole, 100);
    std::vector<PlanOutcome> outcomes(rivals.size());
    workers.for_each(rivals.size(), [&](std::size_t i, const PlanTarget& target) {
      outcomes[i] = ladder.make(target, task, ConvForm::whole, rivals[i]);
    });
    for (std::size_t i = 0; i < rivals.size(); ++i) {
      if (!outcomes[i].plan) continue;
      const bool apart = rivals[i].addition_apart;
      std::shared_ptr<const DeviceConv> conv =
          make_cudnn_conv(handles, outcomes[i].plan, apart ? without_addition(task) : task, ConvForm::whole);
      if (apart) conv = with_addition_apart(conv, task);
      EXPECT_EQ(found(*device, task, operands, conv), wanted) << task_text(task) << ", " << hint_text(rivals[i]);
      ++tried;
    }
  }
  EXPECT_GT(tried, 10);
}

}  // namespace
}  // namespace qnudge::cuda
