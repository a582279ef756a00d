// SPDX-License-Identifier: MIT
// Throughput of the parts that a generation is made of, one thread: mutation in weights per second, requantisation and
// addition in elements per second, scores in images per second, convolutions in operations (2 per multiply-add) per
// second. `--benchmark_filter=conv/oneDNN` picks some.
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <omp.h>

#include <array>
#include <numeric>
#include <vector>

#include "cpu/elementwise_loops.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/kernels/elementwise.hpp"
#include "qnudge/kernels/mutate.hpp"
#include "qnudge/kernels/requantise.hpp"
#include "qnudge/kernels/score.hpp"

namespace qnudge {
namespace {

using benchmark::State;

void set_rate(State& state, const char* name, double per_iteration) {
  state.counters[name] = benchmark::Counter(per_iteration, benchmark::Counter::kIsIterationInvariantRate);
}

/// Reproducible words, the same ones that mutation draws.
std::uint32_t word(std::uint32_t i) {
  return draw_block(Random123Philox{}, 1, {}, i / 4).v[i % 4];
}

std::vector<std::int8_t> random_codes(std::size_t count, int low, int high) {
  std::vector<std::int8_t> codes(count);
  for (std::size_t i = 0; i < count; ++i) {
    codes[i] = static_cast<std::int8_t>(
        low + static_cast<int>(word(static_cast<std::uint32_t>(i)) % static_cast<std::uint32_t>(high - low + 1)));
  }
  return codes;
}

constexpr std::size_t kWeights = 64 * 3 * 3 * 64;

/// One candidate of a 4-bit layer of 64 channels, 3x3: draws included.
void mutate(State& state, MutationKind kind) {
  const std::vector<std::int8_t> parent = random_codes(kWeights, -8, 7);
  std::vector<std::uint32_t> thresholds(kResidualSteps);
  std::iota(thresholds.begin(), thresholds.end(), 0u);
  for (std::uint32_t& t : thresholds) t *= 1u << 20;
  MutationRule rule{.kind = kind, .uniform = uniform_thresholds(0.02), .low = -8, .high = 7};
  rule.residual_thresholds = thresholds.data();
  std::vector<std::int8_t> child(kWeights);
  DrawAddress at;
  for (auto _ : state) {
    ++at.candidate;
    for (std::size_t i = 0; i < kWeights; i += 4) {
      const U32x4 words = draw_block(Random123Philox{}, 1, at, static_cast<std::uint32_t>(i / 4));
      for (std::size_t j = 0; j < 4; ++j) child[i + j] = rule(parent[i + j], parent[i + j] * 256 + 100, words.v[j]);
    }
    benchmark::DoNotOptimize(child.data());
    benchmark::ClobberMemory();
  }
  set_rate(state, "weights/s", static_cast<double>(kWeights));
}

constexpr std::int64_t kElements = 32 * 32 * 64, kChannels = 64;

void requantise(State& state) {
  std::vector<std::int32_t> acc(kElements), bias(kChannels, 1000);
  for (std::size_t i = 0; i < acc.size(); ++i) {
    acc[i] = static_cast<std::int32_t>(word(static_cast<std::uint32_t>(i)) >> 12) - (1 << 19);
  }
  const std::vector<float> m(kChannels, 1.0f / 4096);
  std::vector<std::int8_t> code(kElements);
  const Requantise op{acc.data(), bias.data(), m.data(), code.data(), kChannels, 0, 127};
  for (auto _ : state) {
    for (std::int64_t i = 0; i < kElements; ++i) op(i);
    benchmark::DoNotOptimize(code.data());
    benchmark::ClobberMemory();
  }
  set_rate(state, "elements/s", kElements);
}

void add(State& state) {
  const std::vector<std::int8_t> a = random_codes(kElements, -128, 127), b = random_codes(kElements, 0, 127);
  std::vector<std::int8_t> code(kElements);
  const AddCodes op{a.data(), b.data(), code.data(), 0.5f, 0.25f, 0, 127};
  for (auto _ : state) {
    run_range(op, kElements);
    benchmark::DoNotOptimize(code.data());
    benchmark::ClobberMemory();
  }
  set_rate(state, "elements/s", kElements);
}

void score(State& state, FitnessKind kind) {
  constexpr std::int64_t kClasses = 100, kImages = 256;
  std::vector<float> logits(kClasses * kImages);
  std::vector<std::int32_t> reference(kClasses), probability(kClasses);
  for (std::size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>(word(static_cast<std::uint32_t>(i)) >> 8) / static_cast<float>(1 << 20);
  }
  for (std::size_t k = 0; k < reference.size(); ++k) reference[k] = logit_to_q16(logits[k]);
  const std::int64_t negative_entropy = prepare_kl(reference.data(), kClasses, probability.data());
  const ScoreRule rule{.kind = kind, .classes = kClasses};
  std::int64_t total = 0;
  for (auto _ : state) {
    for (std::int64_t n = 0; n < kImages; ++n) {
      total += rule(logits.data() + n * kClasses, static_cast<std::int32_t>(n % kClasses), probability.data(),
                    negative_entropy);
    }
    benchmark::DoNotOptimize(total);
  }
  set_rate(state, "images/s", kImages);
}

struct ConvCase {
  const char* name;
  std::int64_t n, extent, c, k, filter, stride;
};

/// Layers of ResNets for 32x32 and 28x28 images and of VGG-16, at the batch at which a kernel reaches its full speed.
constexpr std::array<ConvCase, 14> kConvs = {{{"c64k64r3@32", 64, 32, 64, 64, 3, 1},
                                              {"c128k128r3@16", 64, 16, 128, 128, 3, 1},
                                              {"c256k256r3@8", 64, 8, 256, 256, 3, 1},
                                              {"c512k512r3@4", 64, 4, 512, 512, 3, 1},
                                              {"c64k128r3s2@32", 64, 32, 64, 128, 3, 2},
                                              {"c64k128r1s2@32", 64, 32, 64, 128, 1, 2},
                                              {"c3k64r3@32", 64, 32, 3, 64, 3, 1},
                                              {"c16k16r3@32", 128, 32, 16, 16, 3, 1},
                                              {"c32k32r3@16", 128, 16, 32, 32, 3, 1},
                                              {"c64k64r3@8", 128, 8, 64, 64, 3, 1},
                                              {"c16k16r3@28", 128, 28, 16, 16, 3, 1},
                                              {"c32k32r3@14", 128, 14, 32, 32, 3, 1},
                                              {"c64k64r3@7", 128, 7, 64, 64, 3, 1},
                                              {"c1k16r3@28", 128, 28, 1, 16, 3, 1}}};

using MakeKernel = std::unique_ptr<ConvKernel> (*)(const ConvProblem&, ConvMode, std::span<const float>);

ConvProblem problem_of(const ConvCase& shape, std::int64_t images) {
  const std::int64_t pad = shape.filter / 2, out = (shape.extent - 1) / shape.stride + 1;
  ConvProblem problem;
  problem.n = images;
  problem.in = {shape.extent, shape.extent, shape.c};
  problem.out = {out, out, shape.k};
  problem.conv.window = {shape.filter, shape.filter, shape.stride, shape.stride, 1, 1, pad, pad, pad, pad};
  problem.filter = {shape.k, shape.filter, shape.filter, shape.c};
  problem.input_signed = shape.c <= 3;  // as in a first layer; behind a ReLU codes are not negative
  problem.low = 0;
  return problem;
}

void convolve(State& state, const ConvCase& shape, MakeKernel make, std::int64_t images) {
  const ConvProblem problem = problem_of(shape, images);
  const std::vector<float> multipliers(static_cast<std::size_t>(shape.k), 1.0f / 1024);
  const std::unique_ptr<ConvKernel> kernel = make(problem, ConvMode::codes, multipliers);
  if (!kernel) {
    state.SkipWithError("not exact on this processor, or no such primitive");
    return;
  }
  const auto x_size = static_cast<std::size_t>(images * problem.in.size());
  const std::vector<std::int8_t> x = random_codes(x_size, problem.input_signed ? -128 : 0, 127);
  const auto codes = random_codes(static_cast<std::size_t>(problem.filter.size()), -8, 7);
  const std::vector<std::int32_t> bias(static_cast<std::size_t>(shape.k), 100);
  const AlignedBuffer packed(kernel->packed_bytes()), scratch(kernel->scratch_bytes());
  const AlignedBuffer y(static_cast<std::size_t>(images * problem.out.size()));
  kernel->pack(codes.data(), packed.data(), scratch.data());
  for (auto _ : state) {
    kernel->run(x.data(), packed.data(), bias.data(), y.data(), scratch.data());
    benchmark::ClobberMemory();
  }
  const std::int64_t macs = images * problem.out.h * problem.out.w * problem.filter.size();
  set_rate(state, "operations/s", 2.0 * static_cast<double>(macs));
  state.SetLabel(kernel->description());
}

void register_all() {
  benchmark::RegisterBenchmark("mutate/uniform", mutate, MutationKind::uniform);
  benchmark::RegisterBenchmark("mutate/residual", mutate, MutationKind::residual);
  benchmark::RegisterBenchmark("requantise", requantise);
  benchmark::RegisterBenchmark("add", add);
  benchmark::RegisterBenchmark("score/top1", score, FitnessKind::top1);
  benchmark::RegisterBenchmark("score/cross_entropy", score, FitnessKind::cross_entropy);
  benchmark::RegisterBenchmark("score/kl", score, FitnessKind::kl);
  for (const ConvCase& c : kConvs) {
    benchmark::RegisterBenchmark(fmt::format("conv/oneDNN/{}", c.name).c_str(), convolve, c, make_onednn_kernel, c.n);
    benchmark::RegisterBenchmark(fmt::format("conv/own/{}", c.name).c_str(), convolve, c, make_own_kernel, c.n);
    benchmark::RegisterBenchmark(fmt::format("conv/plain/{}", c.name).c_str(), convolve, c, make_plain_kernel, 1);
  }
}

}  // namespace
}  // namespace qnudge

int main(int argc, char** argv) {
  omp_set_num_threads(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  qnudge::register_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
