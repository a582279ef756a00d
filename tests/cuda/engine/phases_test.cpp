// SPDX-License-Identifier: MIT
// A transposed convolution by phases against its definition.
#include <gtest/gtest.h>

#include <random>

#include "qnudge/cuda/phases.hpp"
#include "qnudge/cuda/plain_task.hpp"

namespace qnudge::cuda {
namespace {

ConvTask transposed(ConvRole role, std::int64_t candidates, Shape in, std::int64_t k, Window window,
                    std::int64_t spread_h, std::int64_t spread_w) {
  ConvTask task;
  task.role = role;
  task.images = 2;
  task.candidates = candidates;
  task.in = in;
  task.filter = {k, window.r, window.s, in.c};
  task.geometry = {window, 1, spread_h, spread_w, true};
  task.out = {window_extent(in.h, window.r, 1, window.dilation_h, window.pad_top, window.pad_bottom, spread_h),
              window_extent(in.w, window.s, 1, window.dilation_w, window.pad_left, window.pad_right, spread_w), k};
  return task;
}

std::vector<std::int8_t> random_codes(std::int64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::int8_t> codes(static_cast<std::size_t>(count));
  for (auto& c : codes) c = static_cast<std::int8_t>(static_cast<int>(random() % 256) - 128);
  return codes;
}

/// Runs the phases one after the other with the plain kernel, and puts their outputs where they belong.
std::vector<std::int8_t> by_phases(const ConvTask& task, const Phases& phases, const ConvPointers& at) {
  const std::int64_t sets = task.role == ConvRole::wide ? task.candidates : 1;
  std::vector<std::int8_t> filters(1);
  PhaseFilter<std::int8_t> rearrange{
      static_cast<const std::int8_t*>(at.w), nullptr, phases.h, phases.w, sets, task.filter.k, task.filter.c};
  filters.resize(static_cast<std::size_t>(rearrange.size()));
  rearrange.to = filters.data();
  for (std::int64_t i = 0; i < rearrange.size(); ++i) rearrange(i);

  ConvTask one = task;
  one.geometry = {phases.window, 1, 1, 1, false};
  one.filter = {task.filter.k, phases.h.taps, phases.w.taps, task.filter.c};
  one.out = {phases.h.outputs, phases.w.outputs, task.filter.k};
  const std::int64_t pixel = task.candidates * task.filter.k;
  std::vector<std::int8_t> y(static_cast<std::size_t>(output_elements(task))),
      part(static_cast<std::size_t>(output_elements(one)));
  for (std::int64_t phase = 0; phase < phases.count(); ++phase) {
    ConvPointers p = at;
    p.w = filters.data() + phase * rearrange.phase_size();
    p.y = part.data();
    const auto op = plain_conv<std::int8_t>(one, p);
    for (std::int64_t i = 0; i < output_elements(one); ++i) op(i);
    for (std::int64_t n = 0; n < one.images; ++n) {
      for (std::int64_t qy = 0; qy < one.out.h; ++qy) {
        for (std::int64_t qx = 0; qx < one.out.w; ++qx) {
          const std::int64_t oy = qy * phases.h.phases + phase / phases.w.phases;
          const std::int64_t ox = qx * phases.w.phases + phase % phases.w.phases;
          std::copy_n(part.begin() + ((n * one.out.h + qy) * one.out.w + qx) * pixel, pixel,
                      y.begin() + ((n * task.out.h + oy) * task.out.w + ox) * pixel);
        }
      }
    }
  }
  return y;
}

TEST(Phases, GiveTheTransposedConvolution) {
  std::uint64_t seed = 1;
  int formed = 0, refused = 0;
  for (const auto& [role, candidates] : {std::pair{ConvRole::single, 1}, {ConvRole::wide, 3}, {ConvRole::shared, 2}}) {
    for (std::int64_t spread = 2; spread <= 4; ++spread) {
      for (std::int64_t taps = 1; taps <= 6; ++taps) {
        for (std::int64_t pad = -1; pad <= taps; ++pad) {
          for (const std::int64_t dilation : {1, 2}) {
            for (const bool flat : {true, false}) {
              const Window window{.r = taps,
                                  .s = flat ? 1 : 3,
                                  .dilation_h = dilation,
                                  .pad_top = pad,
                                  .pad_left = flat ? 0 : 1,
                                  .pad_bottom = pad,
                                  .pad_right = flat ? 0 : 2};
              const ConvTask task = transposed(role, candidates, {5, flat ? 1 : 4, 3}, 4, window, spread, flat ? 1 : 2);
              if (task.out.h <= 0 || task.out.w <= 0) continue;
              const Phases phases = phases_of(task);
              if (!phases.refusal.empty()) {
                ++refused;
                continue;
              }
              ++formed;
              const std::int64_t sets = role == ConvRole::wide ? candidates : 1;
              const auto x = random_codes(task.images * task.in.size() * candidates, ++seed);
              const auto w = random_codes(sets * task.filter.size(), ++seed);
              const std::vector<float> bias(static_cast<std::size_t>(sets * 4), 3.0f), m(bias.size(), 0.01f);
              std::vector<std::int8_t> expected(static_cast<std::size_t>(output_elements(task)));
              ConvPointers at{x.data(), w.data(), bias.data(), m.data(), nullptr, expected.data(), nullptr};
              const auto op = plain_conv<std::int8_t>(task, at);
              for (std::int64_t i = 0; i < output_elements(task); ++i) op(i);
              ASSERT_EQ(by_phases(task, phases, at), expected)
                  << "role " << static_cast<int>(role) << " spread " << spread << " taps " << taps << " pad " << pad
                  << " dilation " << dilation << " flat " << flat;
            }
          }
        }
      }
    }
  }
  EXPECT_GT(formed, 150);
  EXPECT_GT(refused, 0);
}

TEST(Phases, RefuseWhatHasNoForm) {
  const Window window{.r = 4, .s = 1, .pad_top = 2, .pad_bottom = 2};
  ConvTask task = transposed(ConvRole::single, 1, {8, 1, 4}, 4, window, 2, 1);
  EXPECT_EQ(phases_of(task).refusal.empty(), task.out.h % 2 == 0);
  task.geometry.groups = 2;
  EXPECT_NE(phases_of(task).refusal.find("grouped"), std::string::npos);
  task.geometry.groups = 1;
  task.geometry.window.stride_h = 2;
  EXPECT_NE(phases_of(task).refusal.find("strided"), std::string::npos);
  task.geometry = {};
  EXPECT_NE(phases_of(task).refusal.find("ordinary"), std::string::npos);
}

}  // namespace
}  // namespace qnudge::cuda
