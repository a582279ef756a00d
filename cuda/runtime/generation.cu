// SPDX-License-Identifier: MIT
// What ends a generation: fitness, ranking, counters.
#include <thrust/execution_policy.h>
#include <thrust/reduce.h>

#include <cub/block/block_merge_sort.cuh>
#include <cub/block/block_reduce.cuh>

#include "check.hpp"
#include "launch.hpp"
#include "warp_team.cuh"

namespace qnudge::cuda {
namespace {

constexpr int kScoreThreads = 256, kScoreWarps = kScoreThreads / WarpTeam::kSize;

/// The row that the thread's warp works on.
__device__ std::int64_t row_of_warp() {
  return static_cast<std::int64_t>(blockIdx.x) * kScoreWarps + threadIdx.x / WarpTeam::kSize;
}

/// One warp per image, one row of blocks per candidate; integers, so that the order of additions is of no account.
__global__ void __launch_bounds__(kScoreThreads) score_kernel(ScoreCandidates op) {
  __shared__ long long scores[kScoreWarps];
  const WarpTeam team;
  const auto p = static_cast<std::int64_t>(blockIdx.y), n = row_of_warp();
  const std::int64_t score = n < op.cursor.size ? op.score(team, n, p) : 0;
  if (team.rank() == 0) scores[threadIdx.x / WarpTeam::kSize] = score;
  __syncthreads();
  if (threadIdx.x != 0) return;
  long long sum = 0;
  for (const long long own : scores) sum += own;
  if (sum != 0) atomicAdd(reinterpret_cast<unsigned long long*>(op.fitness + p), static_cast<unsigned long long>(sum));
}

/// One warp per image.
__global__ void __launch_bounds__(kScoreThreads) evaluate_kernel(EvaluateImages op, std::int64_t images) {
  if (const std::int64_t n = row_of_warp(); n < images) op(WarpTeam{}, n);
}

unsigned score_blocks(std::int64_t rows) {
  return static_cast<unsigned>((rows + kScoreWarps - 1) / kScoreWarps);
}

constexpr int kRankThreads = 256;
constexpr std::int32_t kSharedParents = 512;

/// FitterRule over entries of which those beyond the population sort last.
struct FitterEntry {
  FitterRule rule;
  std::int32_t count;
  __device__ bool operator()(std::int32_t a, std::int32_t b) const {
    if (a >= count || b >= count) return a < b;
    return rule(a, b);
  }
};

/// What one thread touches again and again while it ranks; a round trip to global memory each would take longer than
/// the sort.
struct RankMemory {
  std::int64_t parent_fitness[kSharedParents], new_fitness[kSharedParents];
  std::int32_t slot[kSharedParents], scratch[4 * kSharedParents];
  Survivor survivors[kSharedParents];
};

template <class T>
__device__ void copy_by_block(T* to, const T* from, std::int32_t count) {
  for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < count; i += kRankThreads) to[i] = from[i];
}

template <int kItems>
__global__ void __launch_bounds__(kRankThreads) rank_kernel(RankSurvivors op) {
  using Sort = cub::BlockMergeSort<std::int32_t, kRankThreads, kItems>;
  __shared__ union {
    typename Sort::TempStorage sort;
    RankMemory rank;
  } memory;
  __shared__ std::int32_t best[kRankThreads * kItems];
  std::int32_t entries[kItems];
  for (int i = 0; i < kItems; ++i) entries[i] = static_cast<std::int32_t>(threadIdx.x) * kItems + i;
  Sort(memory.sort).Sort(entries, FitterEntry{op.fitter(), op.mu + op.lambda});
  for (int i = 0; i < kItems; ++i) best[threadIdx.x * kItems + i] = entries[i];
  __syncthreads();
  if (op.mu > kSharedParents) {
    if (threadIdx.x == 0) op(best);
    return;
  }
  RankSurvivors local = op;
  local.parent_fitness = memory.rank.parent_fitness;
  local.new_fitness = memory.rank.new_fitness;
  local.slot = memory.rank.slot;
  local.scratch = memory.rank.scratch;
  local.survivors = memory.rank.survivors;
  copy_by_block(local.parent_fitness, op.parent_fitness, op.mu);
  copy_by_block(local.slot, op.slot, op.mu);
  __syncthreads();
  if (threadIdx.x == 0) local(best);
  __syncthreads();
  copy_by_block(op.parent_fitness, local.parent_fitness, op.mu);
  copy_by_block(op.slot, local.slot, op.mu);
  copy_by_block(op.survivors, local.survivors, op.mu);
}

/// Fields of the mailbox as the device writes them: whole 64-bit words that the host may read at any time.
struct MailboxWords {
  volatile long long *generation, *best, *candidate_images;
};

/// By one thread, of EndGeneration or EndChannels.
template <class End>
__device__ void end_generation(const End& c, const GenerationRecord& record, const MailboxWords& mailbox) {
  c.history[c.counters->generation - c.first_generation] = record;
  c.counters->generation += 1;
  *mailbox.best = record.best;
  *mailbox.candidate_images = *mailbox.candidate_images + c.candidate_images;
  __threadfence_system();  // whoever sees the new generation sees its fitness
  *mailbox.generation = c.counters->generation;
}

__global__ void end_generation_kernel(EndGeneration c, MailboxWords mailbox) {
  end_generation(c, c.record(), mailbox);
}

constexpr int kEndThreads = 128;

struct MergeRecords {
  __device__ GenerationRecord operator()(GenerationRecord a, const GenerationRecord& b) const {
    EndChannels::merge(a, b);
    return a;
  }
};

__global__ void __launch_bounds__(kEndThreads) end_channels_kernel(EndChannels c, MailboxWords mailbox) {
  using Reduce = cub::BlockReduce<GenerationRecord, kEndThreads>;
  __shared__ typename Reduce::TempStorage storage;
  const GenerationRecord all = Reduce(storage).Reduce(c.record(threadIdx.x, kEndThreads), MergeRecords{});
  if (threadIdx.x == 0) end_generation(c, all, mailbox);
}

MailboxWords words_of(Mailbox& mailbox) {
  const auto word = [](std::atomic<std::int64_t>& field) {
    static_assert(sizeof(std::atomic<std::int64_t>) == sizeof(long long) &&
                  std::atomic<std::int64_t>::is_always_lock_free);
    return reinterpret_cast<volatile long long*>(&field);
  };
  return {word(mailbox.generation), word(mailbox.best), word(mailbox.candidate_images)};
}

}  // namespace

void launch(const Score& command, cudaStream_t stream) {
  const ScoreCandidates& op = command.op;
  const dim3 blocks(score_blocks(op.cursor.size), static_cast<unsigned>(op.candidates));
  score_kernel<<<blocks, kScoreThreads, 0, stream>>>(op);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const Evaluate& command, cudaStream_t stream) {
  evaluate_kernel<<<score_blocks(command.images), kScoreThreads, 0, stream>>>(command.op, command.images);
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const Rank& command, cudaStream_t stream) {
  const std::int32_t entries = command.op.mu + command.op.lambda;
  if (entries <= kRankThreads) {
    rank_kernel<1><<<1, kRankThreads, 0, stream>>>(command.op);
  } else if (entries <= 4 * kRankThreads) {
    rank_kernel<4><<<1, kRankThreads, 0, stream>>>(command.op);
  } else {
    rank_kernel<16><<<1, kRankThreads, 0, stream>>>(command.op);
  }
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const EndGeneration& command, cudaStream_t stream) {
  end_generation_kernel<<<1, 1, 0, stream>>>(command, words_of(*command.mailbox));
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

void launch(const EndChannels& command, cudaStream_t stream) {
  end_channels_kernel<<<1, kEndThreads, 0, stream>>>(command, words_of(*command.mailbox));
  QNUDGE_CUDA_CHECK(cudaGetLastError());
}

std::int64_t sum_of(const std::int64_t* values, std::int64_t count, cudaStream_t stream) {
  return thrust::reduce(thrust::cuda::par.on(stream), values, values + count, std::int64_t{0});
}

}  // namespace qnudge::cuda
