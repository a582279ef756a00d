// SPDX-License-Identifier: MIT
// What a run refuses, or repairs and names: checkpoints, histories and references that are not its own or not whole.
#include "qnudge/search/tune.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"
#include "qnudge/core/fixed_point.hpp"
#include "qnudge/search/run_folder.hpp"
#include "support/message_of.hpp"
#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using test::contents;
using test::message_of;
using test::TemporaryFolder;
using test::ToyProblem;
using testing::HasSubstr;

TEST(TuneDamage, RefusesForeignCheckpointsByName) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  const auto resume = [&] { toy.tune(folder / "run", true); };
  EXPECT_THAT(message_of([&] { toy.tune(folder / "run"); }, ErrorKind::usage), HasSubstr("--resume"));

  ToyProblem fresh;
  toy.graph.fingerprint = "another";
  EXPECT_THAT(message_of(resume, ErrorKind::usage), HasSubstr("another model"));
  toy.graph.fingerprint = fresh.graph.fingerprint;
  toy.config.search.rate = 0.06;
  EXPECT_THAT(message_of(resume, ErrorKind::usage), HasSubstr("another config"));
  toy.config = fresh.config;
  toy.test = std::make_shared<test::ToyDataset>(toy.graph, 80, 3);
  EXPECT_THAT(message_of(resume, ErrorKind::usage), HasSubstr("another dataset"));
  toy.test = fresh.test;
  EXPECT_NO_THROW(resume());
}

TEST(TuneDamage, RefusesACheckpointCutOrChangedAnywhere) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  const std::string whole = contents(folder / "run/checkpoint.bin");
  const auto attempt = [&](std::string_view bytes) {
    write_file_atomically(folder / "run/checkpoint.bin", bytes);
    return message_of([&] { toy.tune(folder / "run", true); }, ErrorKind::input);
  };
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 60) {
    EXPECT_THAT(attempt(std::string_view(whole).substr(0, size)), HasSubstr("checkpoint.bin"));
  }
  for (std::size_t at = 0; at < whole.size(); at += 1 + whole.size() / 60) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x20);
    EXPECT_THAT(attempt(changed), HasSubstr("checkpoint.bin"));
  }
}

TEST(TuneDamage, CorruptedReferenceIsComputedAfresh) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  const std::string whole = contents(folder / "run/reference.bin");
  write_file_atomically(folder / "run/reference.bin", whole.substr(0, whole.size() / 2));
  EXPECT_NO_THROW(toy.tune(folder / "run", true));
  EXPECT_EQ(contents(folder / "run/reference.bin"), whole);
}

TEST(TuneDamage, RefusesAHistoryShorterThanTheCheckpointKnows) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  std::filesystem::resize_file(folder / "run/history.jsonl", 10);
  EXPECT_THAT(message_of([&] { toy.tune(folder / "run", true); }, ErrorKind::input), HasSubstr("history.jsonl"));
}

TEST(TuneDamage, RefusesAHistoryThatIsNotTheCheckpoints) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  const std::string whole = contents(folder / "run/history.jsonl");
  for (std::size_t at = 0; at < whole.size(); at += 1 + whole.size() / 40) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    write_file_atomically(folder / "run/history.jsonl", changed);
    EXPECT_THAT(message_of([&] { toy.tune(folder / "run", true); }, ErrorKind::input),
                HasSubstr("history.jsonl: its first"));
  }
  write_file_atomically(folder / "run/history.jsonl", whole + "what a killed run had begun to write");
  EXPECT_NO_THROW(toy.tune(folder / "run", true));
  EXPECT_EQ(contents(folder / "run/history.jsonl"), whole);
}

TEST(TuneDamage, WritesThroughNoPlantedLink) {
  TemporaryFolder folder;
  ToyProblem toy;
  write_file_atomically(folder / "victim", std::string_view("precious"));
  std::filesystem::create_directory(folder / "run");
  for (const char* name :
       {"tuned.onnx", "tuned.onnx.tmp", "checkpoint.bin.tmp", "reference.bin", "config.resolved.json"}) {
    std::filesystem::create_symlink("../victim", folder / "run" / name);
  }
  toy.tune(folder / "run");
  EXPECT_EQ(contents(folder / "victim"), "precious");
  EXPECT_FALSE(std::filesystem::is_symlink(folder / "run/tuned.onnx"));
  for (const char* name : {"history.jsonl", ".lock"}) {
    const std::filesystem::path run = folder / (std::string("run-") + name);
    std::filesystem::create_directory(run);
    std::filesystem::create_symlink("../victim", run / name);
    EXPECT_THAT(message_of([&] { toy.tune(run); }, ErrorKind::usage), HasSubstr("it is a link"));
    std::filesystem::remove(run / name);
    std::filesystem::create_hard_link(folder / "victim", run / name);
    EXPECT_THAT(message_of([&] { toy.tune(run); }, ErrorKind::usage), HasSubstr("another name of a file elsewhere"));
    EXPECT_EQ(contents(folder / "victim"), "precious");
  }
}

TEST(TuneDamage, AResumeThatIsRefusedLeavesTheReference) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "run");
  const std::string before = contents(folder / "run/reference.bin");
  toy.test = std::make_shared<test::ToyDataset>(toy.graph, 80, 3);
  EXPECT_THAT(message_of([&] { toy.tune(folder / "run", true); }, ErrorKind::usage), HasSubstr("another dataset"));
  EXPECT_EQ(contents(folder / "run/reference.bin"), before);
}

TEST(TuneDamage, ReferenceOfOtherInputsIsReplacedWithANote) {
  TemporaryFolder folder;
  ToyProblem toy;
  toy.tune(folder / "other");
  toy.config.quant.activation_range = "max";
  std::filesystem::create_directory(folder / "run");
  std::filesystem::copy(folder / "other/reference.bin", folder / "run/reference.bin");
  EXPECT_THAT(toy.tune(folder / "run").notes,
              testing::Contains(HasSubstr("reference.bin: is of another model, other data or other settings")));
}

TEST(TuneDamage, FloatCrossEntropyIsThatOfItsLogits) {
  TemporaryFolder folder;
  ToyProblem toy;
  const TuneResult r = toy.tune(folder / "run");
  const auto classes = static_cast<std::int64_t>(r.float_fitness.logits.size() / r.fitness_labels.size());
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < r.fitness_labels.size(); ++i) {
    const std::int32_t* row = r.float_fitness.logits.data() + static_cast<std::int64_t>(i) * classes;
    sum += log_sum_exp_q16(row, classes) - row[r.fitness_labels[i]];
  }
  EXPECT_GT(sum, 0);
  EXPECT_EQ(r.float_fitness.cross_entropy, sum);
  EXPECT_GT(r.float_test.cross_entropy, 0);
}

TEST(RunFolderCheck, SaysBeforehandWhatARunWouldRefuse) {
  TemporaryFolder folder;
  ToyProblem toy;
  RunFolder::check(folder / "new/run", false);
  EXPECT_FALSE(std::filesystem::exists(folder / "new"));
  EXPECT_THAT(message_of([&] { RunFolder::check(folder / "new/run", true); }, ErrorKind::usage),
              HasSubstr("holds no run, so there is nothing to --resume"));
  toy.tune(folder / "run");
  RunFolder::check(folder / "run", true);
  EXPECT_THAT(message_of([&] { RunFolder::check(folder / "run", false); }, ErrorKind::usage),
              HasSubstr("holds a run already"));
  const RunFolder taken(folder / "taken");
  EXPECT_THAT(message_of([&] { RunFolder::check(folder / "taken", false); }, ErrorKind::usage),
              HasSubstr("another process is working"));
  write_file_atomically(folder / "file", std::string_view("x"));
  EXPECT_THAT(message_of([&] { RunFolder::check(folder / "file/run", false); }, ErrorKind::usage),
              HasSubstr("is no folder"));
}

}  // namespace
}  // namespace qnudge
