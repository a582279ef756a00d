// SPDX-License-Identifier: MIT
// The rules that every backend shares, as device code.
#include "philox.hpp"
#include "qnudge/kernels/elementwise.hpp"
#include "qnudge/kernels/mutate.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/kernels/select.hpp"

namespace qnudge {

/// op(i) for every i in [0, count), in a grid-stride loop.
template <class Op>
__global__ void for_each_index_kernel(std::int64_t count, Op op) {
  const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) op(i);
}

template __global__ void for_each_index_kernel(std::int64_t, Requantise);
template __global__ void for_each_index_kernel(std::int64_t, Dequantise);
template __global__ void for_each_index_kernel(std::int64_t, AddCodes);
template __global__ void for_each_index_kernel(std::int64_t, ClampCodes);
template __global__ void for_each_index_kernel(std::int64_t, LookupCodes);
template __global__ void for_each_index_kernel(std::int64_t, MaxPoolCodes);
template __global__ void for_each_index_kernel(std::int64_t, AveragePoolCodes);

/// Offspring of one parent, four weights a thread: one Philox block serves four consecutive weights.
__global__ void mutate_kernel(const std::int8_t* parent, std::int8_t* offspring, const std::int16_t* targets,
                              std::int64_t genes, std::uint64_t seed, DrawAddress at, MutationRule rule) {
  const std::int64_t block = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (4 * block >= genes) return;
  const U32x4 words = draw_block(CurandPhilox{}, seed, at, static_cast<std::uint32_t>(block));
  for (std::int64_t j = 0; j < 4 && 4 * block + j < genes; ++j) {
    const std::int64_t i = 4 * block + j;
    offspring[i] = rule(parent[i], targets != nullptr ? targets[i] : 0, words.v[j]);
  }
}

/// fitness[0] += score of image i, for logits [count, classes].
__global__ void score_kernel(const float* logits, const std::int32_t* labels, const std::int32_t* probabilities,
                             const std::int64_t* negative_entropy, std::int64_t count, ScoreRule rule,
                             unsigned long long* fitness) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const std::int64_t score =
      rule(logits + i * rule.classes, labels[i], probabilities + i * rule.classes, negative_entropy[i]);
  atomicAdd(fitness, static_cast<unsigned long long>(score));
}

__global__ void plan_survivors_kernel(const std::int32_t* best, std::int32_t mu, std::int32_t* slot,
                                      Survivor* survivors, std::int32_t* scratch, std::int32_t* count) {
  if (threadIdx.x == 0) *count = plan_survivors(best, mu, slot, survivors, scratch);
}

}  // namespace qnudge
