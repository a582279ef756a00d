// SPDX-License-Identifier: MIT
// The depthwise kernel on a device against the definition: what a thread, a tile and the machine's byte instructions
// do.
#include <fmt/format.h>

#include <cmath>
#include <random>

#include "gpu.hpp"
#include "qnudge/cuda/depthwise_task.hpp"
#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {
namespace {

std::vector<std::int8_t> random_codes(std::int64_t count, std::mt19937_64& random) {
  std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
  for (auto& v : codes) v = static_cast<std::int8_t>(static_cast<int>(random() % 256) - 128);
  return codes;
}

ConvTask depthwise(ConvRole role, std::int64_t candidates, Shape in, std::int64_t r, std::int64_t s,
                   std::int64_t stride, std::int64_t dilation) {
  const Window w{.r = r,
                 .s = s,
                 .stride_h = stride,
                 .stride_w = in.w == 1 ? 1 : stride,
                 .dilation_h = dilation,
                 .dilation_w = in.w == 1 ? 1 : dilation,
                 .pad_top = r / 2,
                 .pad_left = s / 2,
                 .pad_bottom = r / 2,
                 .pad_right = s / 2};
  ConvTask task{role, 3, candidates, in, {}, {in.c, r, s, 1}, {w, in.c}, {}};
  task.out = {window_extent(in.h, r, w.stride_h, w.dilation_h, w.pad_top, w.pad_bottom, 1),
              window_extent(in.w, s, w.stride_w, w.dilation_w, w.pad_left, w.pad_right, 1), in.c};
  return task;
}

void expect_the_definition(Device& device, const ConvTask& task, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
  const std::int64_t copies = task.role == ConvRole::shared ? task.candidates : 1;
  const auto x = random_codes(task.images * copies * task.in.size(), random);
  const auto w = random_codes(sets * task.filter.size(), random);
  const auto residual = random_codes(output_elements(task), random);
  std::vector<float> bias, m;
  for (std::int64_t k = 0; k < sets * task.filter.k; ++k) {
    bias.push_back(static_cast<float>(static_cast<int>(random() % 20000) - 10000));
    m.push_back(std::ldexp(k % 2 == 0 ? 1.0f : 1.37f, -5 - static_cast<int>(random() % 6)));
  }
  std::vector<std::int8_t> expected(residual.size());
  const auto op = plain_conv<std::int8_t>(
      task, {x.data(), w.data(), bias.data(), m.data(), residual.data(), expected.data(), nullptr});
  for (std::int64_t i = 0; i < output_elements(task); ++i) op(i);

  const ConvHandle conv = device.prepare_conv(task, 8);
  ASSERT_EQ(conv->description(), fmt::format("depthwise kernel, {} channels a thread", depthwise_lanes(task)));
  const DeviceArray<std::int8_t> dx(device, std::span(x), "x"), dw(device, std::span(w), "w"),
      dr(device, std::span(residual), "residual"), y(device, expected.size(), "y");
  const DeviceArray<float> db(device, std::span<const float>(bias), "bias"), dm(device, std::span<const float>(m), "m");
  const Memory workspace = device.allocate(conv->workspace_bytes(), "workspace");
  Program program;
  program.add(0, RunConv{conv, {dx.data(), dw.data(), db.data(), dm.data(), dr.data(), y.data(), workspace.get()}});
  device.run(program);
  EXPECT_EQ(y.get(), expected) << task_text(task);
}

using GpuDepthwise = test::GpuTest;

TEST_F(GpuDepthwise, EqualsTheDefinitionInEveryForm) {
  const auto device = open_cuda_device();
  std::uint64_t seed = 1;
  for (const auto& [role, candidates] : {std::pair{ConvRole::single, 1}, {ConvRole::wide, 5}, {ConvRole::shared, 33}}) {
    for (const std::int64_t channels : {16, 32, 96, 576, 20, 72}) {
      for (const auto& [r, s] : {std::pair{3, 3}, {5, 5}, {7, 7}, {1, 1}, {9, 1}, {2, 3}}) {
        for (const auto& [stride, dilation] : {std::pair{1, 1}, {2, 1}, {1, 2}}) {
          ConvTask task = depthwise(role, candidates, {14, s == 1 && r > 1 ? 1 : 13, channels}, r, s, stride, dilation);
          if (++seed % 2 == 0) task.epilogue.addition = FusedAddition{0.5f, 2.0f, 0, 127};
          expect_the_definition(*device, task, seed);
        }
      }
    }
  }
}

}  // namespace
}  // namespace qnudge::cuda
