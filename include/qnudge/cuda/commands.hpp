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
#include "qnudge/kernels/channel_population.hpp"
#include "qnudge/kernels/chunk_cursor.hpp"
#include "qnudge/kernels/combine.hpp"
#include "qnudge/kernels/elementwise.hpp"
#include "qnudge/kernels/gram_population.hpp"
#include "qnudge/kernels/mix.hpp"
#include "qnudge/kernels/normalise.hpp"
#include "qnudge/kernels/plain_conv.hpp"
#include "qnudge/kernels/population.hpp"
#include "qnudge/kernels/product.hpp"
#include "qnudge/kernels/rows.hpp"
#include "qnudge/kernels/scoring.hpp"

/// What the engine asks of a device, as data: a program is recorded once and run any number of times. The same program
/// is enqueued on streams, becomes the body of a graph, or is executed by the host functors in tests.
namespace qnudge::cuda {

/// A convolution made ready by a device for one task: its plan and the reason for its choice.
class PreparedConv {
 public:
  virtual ~PreparedConv() = default;
  virtual std::size_t workspace_bytes() const = 0;
  /// Runs on an engine made for such tasks, the vendor's or our own; false: the plain kernel.
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
  using Op = std::variant<
      AddCodes<std::int8_t>, AddSharedCodes<std::int8_t>, ClampCodes<std::int8_t>, LookupCodes<std::int8_t>,
      LookupChannelCodes<std::int8_t>, CombineCodes<std::int8_t>, ConcatCodes<std::int8_t>, MoveCodes<std::int8_t>,
      MaxPoolCodes<std::int8_t>, AveragePoolCodes<std::int8_t>, AddCodes<Half>, AddSharedCodes<Half>, ClampCodes<Half>,
      LookupCodes<Half>, LookupChannelCodes<Half>, CombineCodes<Half>, ConcatCodes<Half>, MoveCodes<Half>,
      MaxPoolCodes<Half>, AveragePoolCodes<Half>, ResizeCodes<std::int8_t>, ResizeCodes<Half>,
      ProductCodes<std::int8_t>, ProductCodes<Half>, NormaliseMoments<std::int8_t>, NormaliseMoments<Half>,
      SoftmaxCodes, SoftmaxHalves, HalfCodes, SampleRows, SampleShortcut, SplitTargets, AddScaled, GatherChunk>;
  Op op;
  std::int64_t count;
};

/// The same for ops that draw: the device brings its Philox.
struct ForEachDrawing {
  using Op = std::variant<MutateOffspring, RegenerateSurvivors, MutateChannels>;
  Op op;
  std::int64_t count;
};

/// The same for ops that a team of threads works on (kernels/team.hpp): op(team, philox, i), in any order.
struct ForEachTeam {
  using Op = std::variant<PlaceElite, DescendChannel, EvolveOffspring, SelectOffspring, SelectChannel>;
  Op op;
  std::int64_t count;
};

/// to[n, m] = sum over depth of a[m, .] * b[n, .]: int8 lines `stride` bytes apart, int32 sums. m and n are multiples
/// of 4; depth, at most 131,056, and stride are multiples of 16; a, b and to are aligned to kAlignment.
struct ByteProduct {
  static constexpr std::uint32_t kAlignment = 16;  ///< bytes

  const std::int8_t *a, *b;
  std::int32_t* to;
  std::int64_t m, n, depth, stride;

  PlainByteProduct plain() const { return {a, b, to, m, depth, stride}; }
};

/// sums[column] += errors of the rows in that column.
struct SumErrors {
  ErrorColumns op;
};

/// sum[i mod taps] += op(i) for i in [0, images * taps).
struct SumTaps {
  std::variant<TapSums<std::int8_t>, TapSums<Half>> op;
  std::int64_t images;
};

/// fitness[p] += op.score(team, n, p) for all images and candidates, a team for each.
struct Score {
  ScoreCandidates op;
};

/// op(team, n) for every n in [0, images), a team for each.
struct Evaluate {
  EvaluateImages op;
  std::int64_t images;
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

/// Ends a generation of a search by channel.
struct EndChannels {
  PopulationCounters* counters;
  ChannelOutcome outcome;
  GenerationRecord* history;  ///< as in EndGeneration
  Mailbox* mailbox;
  std::int64_t channels;
  std::int64_t best_worst;  ///< bound of what a record calls the worst channel's fitness
  std::int32_t first_generation;
  std::int64_t candidate_images;

  /// Of the channels first, first + stride, ...; records of disjoint channels add up by `merge`.
  QNUDGE_HOST_DEVICE GenerationRecord record(std::int64_t first = 0, std::int64_t stride = 1) const {
    GenerationRecord r{counters->generation + 1, 0, best_worst, 0};
    for (std::int64_t k = first; k < channels; k += stride) {
      merge(r, {r.generation, outcome.fitness[k], outcome.fitness[k], outcome.accepted[k]});
    }
    return r;
  }
  QNUDGE_HOST_DEVICE static void merge(GenerationRecord& a, const GenerationRecord& b) {
    a.best += b.best;
    a.worst = b.worst < a.worst ? b.worst : a.worst;
    a.accepted += b.accepted;
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

struct Program;

/// `body` again and again, `times` in all; *round, in device memory, is 0 at first and counts the finished ones. On
/// stream 0, with every other stream joined.
struct Loop {
  std::shared_ptr<const Program> body;
  std::int32_t* round;
  std::int32_t times;
};

/// Stream `stream` goes on only after all that stream 0 has been given so far.
struct Fork {
  int stream;
};
/// Stream 0 goes on only after all that `stream` has been given so far.
struct Join {
  int stream;
};

using Command = std::variant<RunConv, ForEach, ForEachDrawing, ForEachTeam, ByteProduct, SumTaps, SumErrors, Score,
                             Evaluate, Rank, EndGeneration, EndChannels, FillBytes, CopyBytes, Loop, Fork, Join>;

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
