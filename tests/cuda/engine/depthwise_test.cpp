// SPDX-License-Identifier: MIT
// The depthwise kernel's functors against the definition, written out in doubles.
#include "qnudge/cuda/depthwise_task.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "qnudge/cuda/device.hpp"

namespace qnudge::cuda {
namespace {

class Draw {
 public:
  explicit Draw(std::uint64_t seed) : random_(seed) {}
  std::int64_t pick(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(high - low + 1));
  }
  bool chance(int percent) { return pick(1, 100) <= percent; }
  std::int8_t code() { return static_cast<std::int8_t>(chance(10) ? -128 : chance(10) ? 127 : pick(-128, 127)); }

 private:
  std::mt19937_64 random_;
};

ConvTask random_task(Draw& draw) {
  ConvTask task;
  task.role = static_cast<ConvRole>(draw.pick(0, 2));
  task.images = draw.pick(1, 3);
  task.candidates = task.role == ConvRole::single ? 1 : draw.pick(1, 5);
  const bool signal = draw.chance(25);
  const std::int64_t channels = draw.chance(70) ? 16 * draw.pick(1, 10) : 4 * draw.pick(1, 15);
  task.in = {draw.pick(1, 12), signal ? 1 : draw.pick(1, 19), channels};
  Window& w = task.geometry.window;
  w.r = draw.pick(1, signal ? 9 : 5);
  w.s = signal ? 1 : draw.pick(1, 7);
  if (draw.chance(30)) w.stride_h = draw.pick(1, 3);
  if (!signal && draw.chance(30)) w.stride_w = draw.pick(1, 3);
  if (draw.chance(20)) w.dilation_h = draw.pick(1, 3);
  if (!signal && draw.chance(20)) w.dilation_w = draw.pick(1, 3);
  w.pad_top = draw.pick(0, 3);
  w.pad_bottom = draw.pick(0, 3);
  if (!signal) w.pad_left = draw.pick(0, 3), w.pad_right = draw.pick(0, 3);
  task.geometry.groups = channels;
  task.filter = {channels, w.r, w.s, 1};
  task.out = {window_extent(task.in.h, w.r, w.stride_h, w.dilation_h, w.pad_top, w.pad_bottom, 1),
              window_extent(task.in.w, w.s, w.stride_w, w.dilation_w, w.pad_left, w.pad_right, 1), channels};
  task.epilogue.low = draw.chance(50) ? 0 : -128;
  if (draw.chance(40)) task.epilogue.addition = FusedAddition{0.5f, draw.chance(50) ? 0.25f : 2.0f, -100, 90};
  return task;
}

/// Values on a boundary of 16 bytes, with bytes around them that nobody may write.
template <class T>
class Aligned {
 public:
  explicit Aligned(std::int64_t count) : count_(count), packs_(static_cast<std::size_t>(bytes() / 16 + 3)) {
    std::memset(static_cast<void*>(packs_.data()), 0x5a, packs_.size() * 16);
  }
  T* data() { return reinterpret_cast<T*>(packs_.data() + 1); }
  T& operator[](std::int64_t i) { return data()[i]; }
  std::int64_t size() const { return count_; }
  std::vector<T> values() { return {data(), data() + count_}; }
  bool intact() const {
    const auto* const all = reinterpret_cast<const std::uint8_t*>(packs_.data());
    bool same = true;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(packs_.size()) * 16; ++i) {
      if (i < 16 || i >= 16 + bytes()) same = same && all[i] == 0x5a;
    }
    return same;
  }

 private:
  std::int64_t bytes() const { return count_ * static_cast<std::int64_t>(sizeof(T)); }
  std::int64_t count_;
  std::vector<FourWords> packs_;
};

struct Operands {
  Aligned<std::int8_t> x, w, residual;
  Aligned<float> bias, m;

  Operands(const ConvTask& task, Draw& draw)
      : x(task.images * task.in.size() * (task.role == ConvRole::shared ? task.candidates : 1)),
        w(task.filter.size() * sets(task)),
        residual(output_elements(task)),
        bias(task.filter.k * sets(task)),
        m(task.filter.k * sets(task)) {
    for (auto* codes : {&x, &w, &residual}) {
      for (std::int64_t i = 0; i < codes->size(); ++i) (*codes)[i] = draw.code();
    }
    for (std::int64_t i = 0; i < bias.size(); ++i) {
      bias[i] = static_cast<float>(draw.pick(-20000, 20000));
      m[i] = static_cast<float>(std::ldexp(draw.chance(50) ? 1.0 : 1.37, -static_cast<int>(draw.pick(4, 12))));
    }
  }
  static std::int64_t sets(const ConvTask& task) { return task.role == ConvRole::wide ? task.candidates : 1; }
};

double clamped_rint(double v, float low, float high) {
  return std::clamp(std::nearbyint(v), static_cast<double>(low), static_cast<double>(high));
}

std::int8_t expected(const ConvTask& task, Operands& o, std::int64_t n, std::int64_t oy, std::int64_t ox,
                     std::int64_t p, std::int64_t c) {
  const Window& g = task.geometry.window;
  const std::int64_t channels = task.filter.k, inputs = task.role == ConvRole::shared ? task.candidates : 1;
  const std::int64_t channel = (task.role == ConvRole::wide ? p * channels : 0) + c;
  std::int64_t sum = 0;
  for (std::int64_t r = 0; r < g.r; ++r) {
    for (std::int64_t s = 0; s < g.s; ++s) {
      const std::int64_t y = oy * g.stride_h + r * g.dilation_h - g.pad_top;
      const std::int64_t x = ox * g.stride_w + s * g.dilation_w - g.pad_left;
      if (y < 0 || y >= task.in.h || x < 0 || x >= task.in.w) continue;
      const std::int64_t pixel = (n * task.in.h + y) * task.in.w + x;
      sum += std::int64_t{o.x[(pixel * inputs + (inputs == 1 ? 0 : p)) * channels + c]} *
             o.w[(channel * g.r + r) * g.s + s];
    }
  }
  const float scaled = (static_cast<float>(sum) + o.bias[channel]) * o.m[channel];
  const double code = clamped_rint(static_cast<double>(scaled), task.epilogue.low, task.epilogue.high);
  if (!task.epilogue.addition) return static_cast<std::int8_t>(code);
  const FusedAddition& add = *task.epilogue.addition;
  const std::int64_t at = (((n * task.out.h + oy) * task.out.w + ox) * task.candidates + p) * channels + c;
  return static_cast<std::int8_t>(
      clamped_rint(code * static_cast<double>(add.m_conv) + o.residual[at] * static_cast<double>(add.m_residual),
                   add.low, add.high));
}

std::vector<std::int8_t> expected(const ConvTask& task, Operands& o) {
  std::vector<std::int8_t> codes;
  for (std::int64_t n = 0; n < task.images; ++n) {
    for (std::int64_t oy = 0; oy < task.out.h; ++oy) {
      for (std::int64_t ox = 0; ox < task.out.w; ++ox) {
        for (std::int64_t p = 0; p < task.candidates; ++p) {
          for (std::int64_t c = 0; c < task.filter.k; ++c) codes.push_back(expected(task, o, n, oy, ox, p, c));
        }
      }
    }
  }
  return codes;
}

/// What the kernel gives, and which form of it.
std::string run(const ConvTask& task, Operands& o, Aligned<std::int8_t>& y) {
  Aligned<std::uint32_t> workspace(static_cast<std::int64_t>(depthwise_table_bytes(task) / 4));
  const ConvPointers at{o.x.data(),        o.w.data(), o.bias.data(),   o.m.data(),
                        o.residual.data(), y.data(),   workspace.data()};
  const DepthwiseTable table = depthwise_table(task, at);
  for (std::int64_t i = 0; i < table.size(); ++i) table(i);
  std::string form;
  with_depthwise_conv(task, at, [&]<int kLanes, int kPixels>(const DepthwiseConv<kLanes, kPixels>& op) {
    form = std::to_string(kLanes) + "x" + std::to_string(kPixels) + (table.s > 4 ? " long" : "");
    for (std::int32_t block = 0; block < op.tiles.blocks(); ++block) {
      for (std::int32_t thread = 0; thread < DepthwiseTiles::kThreads; ++thread) op(block, thread);
    }
  });
  EXPECT_TRUE(workspace.intact());
  return form;
}

TEST(Depthwise, EqualsTheDefinitionForAnyShapeRoleAndEpilogue) {
  Draw draw(1);
  std::map<std::string, int> forms;
  for (int i = 0; i < 1500; ++i) {
    const ConvTask task = random_task(draw);
    if (task.out.h < 1 || task.out.w < 1) continue;
    ASSERT_EQ(depthwise_lanes(task), task.filter.k % 16 == 0 ? 16 : 4) << task_text(task);
    Operands operands(task, draw);
    Aligned<std::int8_t> y(output_elements(task));
    ++forms[run(task, operands, y)];
    ASSERT_EQ(y.values(), expected(task, operands)) << task_text(task);
    ASSERT_TRUE(y.intact()) << task_text(task);
  }
  for (const char* form : {"16x1", "16x1 long", "16x2", "4x1", "4x1 long"}) EXPECT_GT(forms[form], 20) << form;
}

TEST(Depthwise, TilesGiveEveryPackOfEveryPixelToOneThread) {
  for (const auto& [packs, width, rows] :
       {std::tuple{1, 1, 1}, {1, 7, 7}, {3, 1, 40}, {6, 56, 5}, {8, 8, 4}, {9, 9, 9}, {33, 3, 70}, {192, 2, 3}}) {
    for (const std::int32_t line : {8, 32}) {
      const DepthwiseTiles tiles = DepthwiseTiles::of(packs, width, rows, line);
      std::vector<int> seen(static_cast<std::size_t>(packs * width * rows));
      for (std::int32_t block = 0; block < tiles.blocks(); ++block) {
        for (std::int32_t thread = 0; thread < DepthwiseTiles::kThreads; ++thread) {
          const DepthwiseTiles::Place at = tiles.at(block, thread);
          if (tiles.holds(at)) ++seen[static_cast<std::size_t>((at.row * width + at.x) * packs + at.pack)];
        }
      }
      EXPECT_EQ(seen, std::vector<int>(seen.size(), 1)) << packs << " packs, " << width << " x " << rows;
    }
  }
}

TEST(Depthwise, LeavesWhatItCannotDoToOthers) {
  Draw draw(2);
  ConvTask task = random_task(draw);
  const ConvTask served = task;
  ASSERT_NE(depthwise_lanes(served), 0);
  task.half = true;
  EXPECT_EQ(depthwise_lanes(task), 0) << "halves";
  task = served;
  task.epilogue.float_output = true;
  EXPECT_EQ(depthwise_lanes(task), 0) << "floats";
  task = served;
  task.geometry.spread_h = 2;
  EXPECT_EQ(depthwise_lanes(task), 0) << "transposed";
  task = served;
  task.geometry.groups /= 2;
  task.filter.c = 2;
  EXPECT_EQ(depthwise_lanes(task), 0) << "grouped";
  task = served;
  task.filter.k = task.out.c = 2 * task.in.c;
  EXPECT_EQ(depthwise_lanes(task), 0) << "two outputs a channel";
  task = served;
  task.geometry.groups = task.in.c = task.out.c = task.filter.k = 58;
  EXPECT_EQ(depthwise_lanes(task), 0) << "58 channels";
  task = served;
  task.images = kMaxTensorElements / (task.in.size() * task.candidates) + 1;
  task.role = ConvRole::shared;
  EXPECT_EQ(depthwise_lanes(task), 0) << "beyond 32 bits";
}

}  // namespace
}  // namespace qnudge::cuda
