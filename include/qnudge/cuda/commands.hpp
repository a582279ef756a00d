// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/cuda/conv_task.hpp"
#include "qnudge/kernels/candidates.hpp"
#include "qnudge/kernels/elementwise.hpp"
#include "qnudge/kernels/plain_conv.hpp"
#include "qnudge/kernels/population.hpp"
#include "qnudge/kernels/scoring.hpp"

/// What the engine asks of a device, as data: a program is recorded once and run any number of times. The same program
/// is enqueued on streams, becomes the body of a graph, or is executed by the host functors in tests.
namespace qnudge::cuda {

/// A convolution made ready by a device for one task: its plan and the reason for its choice.
class PreparedConv {
 public:
  virtual ~PreparedConv() = default;
  virtual std::size_t workspace_bytes() const = 0;
  /// Runs on the vendor's tensor-core engines; false: the plain kernel.
  virtual bool vendor() const = 0;
  virtual const std::string& description() const = 0;  ///< what was chosen and why, for the log
};
using ConvHandle = std::shared_ptr<const PreparedConv>;

struct RunConv {
  ConvHandle conv;
  ConvPointers at;
};

/// op(i) for every i in [0, count), in any order.
struct ForEach {
  using Op = std::variant<AddCodes, AddSharedCodes, ClampCodes, LookupCodes, ConcatCodes, MaxPoolCodes,
                          AveragePoolCodes, EvaluateImages>;
  Op op;
  std::int64_t count;
};

/// The same for ops that draw: the device brings its Philox.
struct ForEachDrawing {
  using Op = std::variant<MutateOffspring, RegenerateSurvivors>;
  Op op;
  std::int64_t count;
};

/// sum[i mod taps] += op(i) for i in [0, images * taps).
struct SumTaps {
  TapSums op;
  std::int64_t images;
};

/// fitness[p] += op.score(n, p) for all images and candidates.
struct Score {
  ScoreCandidates op;
};

/// Sorts the mu + lambda entries by op.fitter() and calls op with the mu best.
struct Rank {
  RankSurvivors op;
};

/// Ends a generation: counters, one record of history, the mailbox.
struct EndGeneration {
  PopulationCounters* counters;
  const std::int64_t* parent_fitness;  ///< [mu] by rank
  GenerationRecord* history;           ///< record of generation g at [g - 1 - first_generation]
  Mailbox* mailbox;                    ///< in memory that host and device see
  std::int32_t mu, first_generation;
  std::int64_t candidate_images;  ///< evaluated per generation

  QNUDGE_HOST_DEVICE GenerationRecord record() const {
    return {counters->generation + 1, parent_fitness[0], parent_fitness[mu - 1], counters->survivors};
  }
};

struct FillBytes {
  void* to;
  std::uint8_t value;
  std::size_t bytes;
};

struct CopyBytes {
  void* to;
  const void* from;
  std::size_t bytes;
};

/// Stream `stream` goes on only after all that stream 0 has been given so far.
struct Fork {
  int stream;
};
/// Stream 0 goes on only after all that `stream` has been given so far.
struct Join {
  int stream;
};

using Command = std::variant<RunConv, ForEach, ForEachDrawing, SumTaps, Score, Rank, EndGeneration, FillBytes,
                             CopyBytes, Fork, Join>;

/// Commands in order, each on one of a few streams; order holds within a stream, Fork and Join order streams.
struct Program {
  struct Step {
    int stream;
    Command command;
  };
  std::vector<Step> steps;

  void add(int stream, Command command) { steps.push_back({stream, std::move(command)}); }
};

}  // namespace qnudge::cuda
