// SPDX-License-Identifier: MIT
// Every kernel against 64-bit integers, for equality, at every instruction-set level that this processor has. The level
// is fixed when oneDNN is first used, so each level runs in a process of its own.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "../../host/cpu/conv_trial.hpp"
#include "support/naive_conv.hpp"

namespace qnudge {
namespace {

struct Range {
  int low, high;
};
constexpr Range kWeightRanges[] = {{-2, 1},   {-4, 3},     {-8, 7},    {-16, 15},   {-32, 31},
                                   {-64, 63}, {-128, 127}, {127, 127}, {-128, -128}};

std::size_t differences(const std::vector<std::byte>& found, const std::vector<std::byte>& expected) {
  if (found.size() != expected.size()) return expected.size();
  std::size_t count = 0;
  for (std::size_t i = 0; i < found.size(); ++i) count += found[i] != expected[i];
  return count;
}

void compare_kernels(const ConvTrial& trial, ConvMode mode, const std::vector<std::byte>& expected,
                     const std::string& what) {
  for (const auto make : {make_plain_kernel, make_own_kernel, make_onednn_kernel, make_best_kernel}) {
    const auto kernel = make(trial.problem, mode, trial.multipliers);
    if (!kernel) continue;
    EXPECT_EQ(differences(run_trial(*kernel, trial, mode), expected), 0u)
        << "bytes of " << expected.size() << ": " << kernel->description() << ", " << trial.name << ", " << what;
  }
}

void run_matrix() {
  std::printf("oneDNN: %s\n", onednn_isa().c_str());
  std::uint64_t seed = 1;
  for (ConvTrial& trial : trial_shapes()) {
    for (const bool input_signed : {true, false}) {
      for (const Range& weights : kWeightRanges) {
        fill_trial(trial, input_signed, weights.low, weights.high, seed++);
        const auto sums = oracle::accumulators(trial.problem, trial.x, trial.codes);
        for (const TrialOutput output : kTrialOutputs) {
          const ConvMode mode = set_output(trial.problem, output);
          const auto expected = oracle::convolve(trial.problem, mode, sums, trial.bias, trial.multipliers);
          compare_kernels(trial, mode, expected,
                          std::string(input_signed ? "signed" : "unsigned") + " input, weights in [" +
                              std::to_string(weights.low) + ", " + std::to_string(weights.high) + "], output " +
                              std::to_string(static_cast<int>(output)));
        }
      }
    }
  }
  EXPECT_TRUE(conv_self_test().empty());
}

constexpr char kLevelVariable[] = "ONEDNN_MAX_CPU_ISA";

/// This test binary again, one test only, limited to `level`; its output.
std::pair<int, std::string> rerun(const std::string& level, const std::string& filter) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command = "env " + std::string(kLevelVariable) + "=" + level + " DNNL_MAX_CPU_ISA=" + level + " '" +
                              self + "' '--gtest_filter=" + filter + "' 2>&1";
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {-1, "cannot start " + command};
  std::string output;
  char part[4096];
  while (const std::size_t n = std::fread(part, 1, sizeof part, pipe)) output.append(part, n);
  return {pclose(pipe), output};
}

class Exactness : public testing::TestWithParam<const char*> {};

TEST_P(Exactness, EveryKernelEqualsTheOracle) {
  const char* const level = std::getenv(kLevelVariable);
  if (level != nullptr && std::string(level) == GetParam()) return run_matrix();
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const auto [status, output] = rerun(GetParam(), std::string(info->test_suite_name()) + "." + info->name());
  EXPECT_EQ(status, 0) << output;
  EXPECT_NE(output.find("oneDNN: "), std::string::npos) << output;
}

INSTANTIATE_TEST_SUITE_P(, Exactness,
                         testing::Values("DEFAULT", "AVX512_CORE_VNNI", "AVX512_CORE", "AVX2_VNNI", "AVX2", "SSE41"),
                         [](const auto& kind) { return kind.param; });

}  // namespace
}  // namespace qnudge
