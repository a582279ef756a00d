// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <random>
#include <set>
#include <string>

#include "qnudge/cuda/device.hpp"
#include "qnudge/cuda/graph_launch.hpp"

namespace qnudge::cuda::test {

struct EmulationOptions {
  int streams = 1;
  std::uint64_t seed = 1;         ///< of the order in which streams advance
  bool fuses = true;              ///< convolutions claim to be a vendor's, so that additions are fused into them
  int team = 1;                   ///< threads of a team; real ones beyond 1
  std::size_t memory = 1u << 30;  ///< bytes that can be allocated
  bool graphs = true;
  std::set<int> refused_graphs;  ///< ordinals of the programs that cannot be had as graphs
};

/// A device whose commands the host executes with the very functors of the kernels. Streams advance in a random order
/// that respects Fork and Join, so that a missing dependency shows.
class EmulatedDevice : public Device {
 public:
  explicit EmulatedDevice(const EmulationOptions& options);

  std::string description() const override { return "emulated"; }
  std::size_t free_bytes() const override { return options_.memory - *used_; }
  int streams() const override { return options_.streams; }
  Memory allocate(std::size_t bytes, const std::string& what) override;
  std::shared_ptr<Mailbox> allocate_mailbox() override { return std::make_shared<Mailbox>(); }
  void upload(void* to, const void* from, std::size_t bytes) override;
  void download(void* to, const void* from, std::size_t bytes) override;
  ConvHandle prepare_conv(const ConvTask& task, int code_bits) override;
  void prepare_convs(std::span<const ConvRequest> requests) override;
  void run(const Program& program) override;
  std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) override {
    return launches_.repeat(program, times, stop);
  }
  GraphUsage graph_usage() const override { return launches_.usage(); }
  std::int64_t sum(const std::int64_t* values, std::int64_t count) override;
  std::shared_ptr<void> annotate(const std::string&) override { return nullptr; }
  void wait() override {}

  std::size_t bytes_in_use() const { return *used_; }
  std::int64_t commands() const { return commands_; }  ///< executed so far
  /// Convolutions that were prepared one by one, not with others before.
  const std::set<std::string>& prepared_alone() const { return alone_; }

 private:
  const EmulationOptions options_;
  std::mt19937_64 random_;
  std::shared_ptr<std::size_t> used_ = std::make_shared<std::size_t>(0);
  std::int64_t commands_ = 0;
  int graphs_asked_for_ = 0;
  GraphLaunches launches_;
  std::set<std::string> together_, alone_;  // by task_text
};

}  // namespace qnudge::cuda::test
