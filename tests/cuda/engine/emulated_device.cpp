// SPDX-License-Identifier: MIT
#include "emulated_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <new>
#include <numeric>

#include "qnudge/core/error.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/cuda/depthwise_task.hpp"
#include "qnudge/kernels/team.hpp"
#include "support/thread_team.hpp"

namespace qnudge::cuda::test {
namespace {

bool is_aligned(const void* p, std::int64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(bytes) == 0;
}

/// All threads of all blocks, the last first.
void run_depthwise(const ConvTask& task, const ConvPointers& at) {
  const DepthwiseTable table = depthwise_table(task, at);
  for (std::int64_t i = 0; i < table.size(); ++i) table(i);
  with_depthwise_conv(task, at, [&](const auto& op) {
    for (std::int64_t block = op.tiles.blocks(); block-- > 0;) {
      for (std::int32_t thread = 0; thread < DepthwiseTiles::kThreads; ++thread) {
        op(static_cast<std::int32_t>(block), thread);
      }
    }
  });
}

class EmulatedConv : public PreparedConv {
 public:
  EmulatedConv(const ConvTask& task, bool vendor) : task_(task), vendor_(vendor) {}
  std::size_t workspace_bytes() const override {
    return depthwise_lanes(task_) != 0 ? depthwise_table_bytes(task_) : 64;
  }
  bool vendor() const override { return vendor_; }
  const std::string& description() const override { return description_; }

  void run(const ConvPointers& at) const {
    EXPECT_TRUE(is_aligned(at.x, x_alignment(task_, operand_bytes(task_)))) << task_text(task_);
    EXPECT_TRUE(is_aligned(at.w, alignment_of(task_.filter.size() * operand_bytes(task_)))) << task_text(task_);
    EXPECT_TRUE(is_aligned(at.y, alignment_of(task_.filter.k * output_bytes(task_)))) << task_text(task_);
    EXPECT_TRUE(is_aligned(at.residual, alignment_of(task_.filter.k * operand_bytes(task_)))) << task_text(task_);
    std::memset(at.workspace, 0x5a, workspace_bytes());
    if (depthwise_lanes(task_) != 0) return run_depthwise(task_, at);
    with_plain_conv(task_, at, [&](const auto& op) {
      for (std::int64_t i = 0; i < output_elements(task_); ++i) op(i);
    });
  }

 private:
  const ConvTask task_;
  const bool vendor_;
  const std::string description_ = "host functor";
};

/// f(i) for every i in [0, count) in some scattered order: what a device promises is no order at all.
template <class F>
void scattered(std::int64_t count, std::uint64_t draw, const F& f) {
  if (count <= 0) return;
  auto step = static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(count)) | 1;
  while (std::gcd(step, count) != 1) ++step;
  std::int64_t i = static_cast<std::int64_t>(draw >> 32) % count;
  for (std::int64_t n = 0; n < count; ++n, i = (i + step) % count) f(i);
}

/// f(team) by a team of so many threads.
template <class F>
void by_team(int size, const F& f) {
  if (size == 1) return f(SerialTeam{});
  qnudge::test::by_threads<false>(size, 0, f);
}

/// Ops that can use memory of the team's own get some, or have to do without.
template <class Op>
void run_by_team(const Op& op, std::int64_t i, int size, bool scratch) {
  const auto run = [&](const auto& team) { op(team, Random123Philox{}, i); };
  if constexpr (requires { op.scratch_bytes(); }) {
    if (scratch) return qnudge::test::by_threads<true>(size, op.scratch_bytes(), run);
  }
  by_team(size, run);
}

struct Execute {
  EmulatedDevice& device;
  std::uint64_t draw;
  int team;

  template <class Op>
  void run_op(const Op& op, std::int64_t count) const {
    if constexpr (requires { op.pack(count); }) {
      if (op.packable(count)) {
        scattered(count / Op::kPack, draw, [&](std::int64_t j) { op.pack(j); });
        return;
      }
    }
    scattered(count, draw, op);
  }

  void operator()(const RunConv& c) const { dynamic_cast<const EmulatedConv&>(*c.conv).run(c.at); }
  void operator()(const ForEach& c) const {
    std::visit([&](const auto& op) { run_op(op, c.count); }, c.op);
  }
  void operator()(const ForEachDrawing& c) const {
    std::visit([&](const auto& op) { scattered(c.count, draw, [&](std::int64_t i) { op(Random123Philox{}, i); }); },
               c.op);
  }
  void operator()(const ForEachTeam& c) const {
    std::visit(
        [&](const auto& op) {
          scattered(c.count, draw, [&](std::int64_t i) { run_by_team(op, i, team, draw % 2 == 0); });
        },
        c.op);
  }
  void operator()(const ByteProduct& c) const {
    EXPECT_TRUE(c.m % 4 == 0 && c.n % 4 == 0 && c.depth % 16 == 0 && c.stride % 16 == 0 && c.depth <= 131056);
    for (const void* p :
         {static_cast<const void*>(c.a), static_cast<const void*>(c.b), static_cast<const void*>(c.to)}) {
      EXPECT_TRUE(is_aligned(p, ByteProduct::kAlignment));
    }
    scattered(c.m * c.n, draw, c.plain());
  }
  void operator()(const SumErrors& c) const {
    for (std::int64_t row = 0; row < c.op.rows; ++row) {
      for (std::int64_t column = 0; column < c.op.columns; ++column) c.op.sums[column] += c.op(row, column);
    }
  }
  void operator()(const EndChannels& c) const {
    const GenerationRecord record = c.record();
    c.history[c.counters->generation - c.first_generation] = record;
    ++c.counters->generation;
    c.mailbox->best = record.best;
    c.mailbox->candidate_images += c.candidate_images;
    c.mailbox->generation = c.counters->generation;
  }
  void operator()(const SumTaps& c) const {
    const auto add = [&](const auto& op) {
      for (std::int64_t i = 0; i < c.images * op.taps(); ++i) op.sum[i % op.taps()] += op(i);
    };
    std::visit(add, c.op);
  }
  void operator()(const Score& c) const {
    for (std::int64_t n = 0; n < c.op.cursor.size; ++n) {
      for (std::int64_t p = 0; p < c.op.candidates; ++p) {
        std::int64_t score = 0;
        by_team(team, [&](const auto& members) {
          const std::int64_t own = c.op.score(members, n, p);
          if (members.rank() == 0) score = own;
        });
        c.op.fitness[p] += score;
      }
    }
  }
  void operator()(const Evaluate& c) const {
    scattered(c.images, draw, [&](std::int64_t n) { by_team(team, [&](const auto& members) { c.op(members, n); }); });
  }
  void operator()(const Rank& c) const {
    std::vector<std::int32_t> entries(static_cast<std::size_t>(c.op.mu + c.op.lambda));
    std::iota(entries.begin(), entries.end(), 0);
    std::sort(entries.begin(), entries.end(), c.op.fitter());
    c.op(entries.data());
  }
  void operator()(const EndGeneration& c) const {
    c.history[c.counters->generation - c.first_generation] = c.record();
    ++c.counters->generation;
    c.mailbox->best = c.parent_fitness[0];
    c.mailbox->candidate_images += c.candidate_images;
    c.mailbox->generation = c.counters->generation;
  }
  void operator()(const FillBytes& c) const { std::memset(c.to, c.value, c.bytes); }
  void operator()(const CopyBytes& c) const { std::memcpy(c.to, c.from, c.bytes); }
  void operator()(const Loop& c) const {
    for (*c.round = 0; *c.round < c.times; ++*c.round) device.run(*c.body);
  }
  void operator()(const Fork&) const {}
  void operator()(const Join&) const {}
};

/// Runs a program like a graph made of it, whose nodes are as many as any device needs at least.
class EmulatedGraph : public PreparedGraph {
 public:
  EmulatedGraph(EmulatedDevice& device, const Program& program, std::int32_t times)
      : device_(device), program_(program), times_(times), census_(take_census(nodes_of(program))) {}
  const GraphCensus& census() const override { return census_; }
  std::int32_t run(const StopFlag& stop) override { return run_one_by_one(device_, program_, times_, stop); }

  static std::int32_t run_one_by_one(EmulatedDevice& device, const Program& program, std::int32_t times,
                                     const StopFlag& stop) {
    std::int32_t done = 0;
    for (; done < times && !stop; ++done) device.run(program);
    return done;
  }

 private:
  EmulatedDevice& device_;
  const Program program_;
  const std::int32_t times_;
  const GraphCensus census_;
};

}  // namespace

EmulatedDevice::EmulatedDevice(const EmulationOptions& options)
    : options_(options),
      random_(options.seed),
      launches_(
          options.graphs,
          [this](const Program& program, std::int32_t times) {
            const int ordinal = graphs_asked_for_++;
            require(!options_.refused_graphs.contains(ordinal), ErrorKind::device, "the emulated driver says no");
            return std::make_unique<EmulatedGraph>(*this, program, times);
          },
          [this](const Program& program, std::int32_t times, const StopFlag& stop) {
            return EmulatedGraph::run_one_by_one(*this, program, times, stop);
          }) {}

Memory EmulatedDevice::allocate(std::size_t bytes, const std::string& what) {
  require(bytes <= free_bytes(), ErrorKind::device, "device memory ran out: {} need {} bytes, {} are free", what, bytes,
          free_bytes());
  *used_ += bytes;
  constexpr std::align_val_t kWhere{kAlignment};
  auto* data = static_cast<std::byte*>(::operator new(std::max<std::size_t>(bytes, 1), kWhere));
  std::memset(data, 0, bytes);
  return {data, [bytes, used = used_](std::byte* p) {
            ::operator delete(p, kWhere);
            *used -= bytes;
          }};
}

void EmulatedDevice::upload(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void EmulatedDevice::download(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void EmulatedDevice::prepare_convs(std::span<const ConvRequest> requests) {
  for (const ConvRequest& request : requests) together_.insert(task_text(request.task));
}

ConvHandle EmulatedDevice::prepare_conv(const ConvTask& task, int) {
  if (!together_.contains(task_text(task))) alone_.insert(task_text(task));
  return std::make_shared<EmulatedConv>(task, options_.fuses);
}

void EmulatedDevice::run(const Program& program) {
  // Per stream the steps still to do; a Fork waits in its target's queue for stream 0, a Join in stream 0's for
  // another.
  std::vector<std::deque<std::size_t>> queues(static_cast<std::size_t>(options_.streams));
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const auto& step = program.steps[i];
    if (const auto* fork = std::get_if<Fork>(&step.command))
      queues[static_cast<std::size_t>(fork->stream)].push_back(i);
    else
      queues[static_cast<std::size_t>(step.stream)].push_back(i);
  }
  const auto waits_for = [&](std::size_t step, std::size_t stream) {
    return !queues[stream].empty() && queues[stream].front() < step;
  };
  std::size_t left = program.steps.size();
  while (left > 0) {
    const std::size_t stream = random_() % queues.size();
    if (queues[stream].empty()) continue;
    const std::size_t i = queues[stream].front();
    const Command& command = program.steps[i].command;
    const auto* join = std::get_if<Join>(&command);
    if (std::holds_alternative<Fork>(command) && waits_for(i, 0)) continue;
    if (join != nullptr && waits_for(i, static_cast<std::size_t>(join->stream))) continue;
    std::visit(Execute{*this, random_(), options_.team}, command);
    ++commands_;
    queues[stream].pop_front();
    --left;
  }
}

std::int64_t EmulatedDevice::sum(const std::int64_t* values, std::int64_t count) {
  return std::accumulate(values, values + count, std::int64_t{0});
}

}  // namespace qnudge::cuda::test
