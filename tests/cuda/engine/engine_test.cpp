// SPDX-License-Identifier: MIT
// The engine's programs, executed by the host functors in every legal order, against the reference backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "emulated_device.hpp"
#include "engine_cases.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cuda/engine.hpp"
#include "support/message_of.hpp"

namespace qnudge::cuda {
namespace {

using qnudge::test::message_of;
using test::Variant;
using testing::HasSubstr;

std::unique_ptr<Backend> emulated(const Variant& v) {
  return make_engine(std::make_shared<test::EmulatedDevice>(test::EmulationOptions{
                         .streams = v.streams, .seed = v.seed, .fuses = v.fuses, .team = v.team}),
                     {.images_per_chunk = v.images});
}

class RandomNetworks : public testing::TestWithParam<int> {
 protected:
  std::uint64_t seed(int block, int i) const { return static_cast<std::uint64_t>(block + GetParam() * 10 + i); }
};

TEST_P(RandomNetworks, EveryTensorEqualsTheReference) {
  for (int i = 0; i < 10; ++i) test::expect_equal_tensors(emulated, seed(0, i));
}

TEST_P(RandomNetworks, EvaluationAndMeansEqualTheReferenceForAnyChunk) {
  for (int i = 0; i < 10; ++i) test::expect_equal_evaluation(emulated, seed(1000, i));
}

TEST_P(RandomNetworks, SearchEqualsTheReferenceForAnyChunkAndStreams) {
  for (int i = 0; i < 6; ++i) test::expect_equal_search(emulated, seed(2000, i));
}

TEST_P(RandomNetworks, HalvesAreNearTheReferenceAndTheSameForAnyChunkAndStreams) {
  for (int i = 0; i < 5; ++i) test::expect_near_in_half(emulated, seed(7000, i));
  for (int i = 5; i < 10; ++i) test::expect_equal_search_in_half(emulated, seed(7000, i));
}

TEST_P(RandomNetworks, ReconstructionEqualsTheReference) {
  for (int i = 0; i < 4; ++i) test::expect_equal_reconstruction(emulated, seed(6000, i));
}

TEST_P(RandomNetworks, RestoredSearchEndsTheSame) {
  for (int i = 0; i < 3; ++i) test::expect_equal_after_restore(emulated, seed(3000, i));
}

TEST_P(RandomNetworks, FittingEqualsTheHostForAnyChunkAndTeam) {
  for (int i = 0; i < 4; ++i) test::expect_equal_fit(emulated, seed(4000, i));
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomNetworks, testing::Range(0, 8));

struct Problem {
  IntNetwork network = test::random_network(3);
  ImageSet images = test::random_images(network, 6, 3);
};

TEST(EngineSearch, StopFlagEndsBeforeTheNextGeneration) {
  const Problem p;
  const auto session = emulated({})->open(p.network);
  const auto search = session->prepare(0, session->upload(p.images), {}, {});
  search->start();
  const StopFlag stop{true};
  search->repeat(100, stop, [&] { search->mutate(0), search->evaluate(0), search->select(); });
  EXPECT_EQ(search->save().generation, 0);
  EXPECT_TRUE(search->take_history().empty());
}

TEST(EngineSearch, RecordsItsBodyOnceAndOnlyInsideRepeat) {
  const Problem p;
  const auto session = emulated({})->open(p.network);
  const auto search = session->prepare(0, session->upload(p.images), {}, {});
  search->start();
  EXPECT_THAT(message_of([&] { search->mutate(0); }, ErrorKind::internal), HasSubstr("body of repeat"));
  const StopFlag never{false};
  int calls = 0;
  search->repeat(5, never, [&] { ++calls, search->mutate(0), search->evaluate(0), search->select(); });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(search->save().generation, 5);
  EXPECT_THROW(search->repeat(6, never, [] { throw std::runtime_error("body"); }), std::runtime_error);
  EXPECT_THAT(message_of([&] { search->select(); }, ErrorKind::internal), HasSubstr("body of repeat"));
}

TEST(EngineSearch, HistoryCanBeTakenInPieces) {
  const Problem p;
  const auto session = emulated({})->open(p.network);
  const auto search = session->prepare(0, session->upload(p.images), {.parents = 2, .offspring = 3}, {});
  search->start();
  test::evolve(*search, 2);
  test::evolve(*search, 3);
  EXPECT_EQ(search->take_history().size(), 3u);
  test::evolve(*search, 5);
  const auto rest = search->take_history();
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_EQ(rest.front().generation, 4);
}

TEST(EngineSearch, RefusesWhatCannotBeSearched) {
  Problem p;
  const auto session = emulated({})->open(p.network);
  const auto handle = session->upload(p.images);
  EXPECT_THAT(
      message_of([&] { session->prepare(0, handle, {.parents = 4000, .offspring = 4000}, {}); }, ErrorKind::device),
      HasSubstr("4000 and 4000; the device ranks at most 4096"));
  EXPECT_THAT(
      message_of([&] { session->prepare(0, handle, {.mutation = MutationKind::residual}, {}); }, ErrorKind::internal),
      HasSubstr("one target per weight"));
  const auto search = session->prepare(0, handle, {}, {});
  EXPECT_THAT(message_of([&] { search->restore({}); }, ErrorKind::input),
              HasSubstr("the checkpoint's population has 0"));
  p.images.labels[1] = static_cast<std::int32_t>(p.network.output_size());
  EXPECT_THAT(message_of([&] { session->upload(p.images); }, ErrorKind::input), HasSubstr("does not fit"));
  p.images.labels[1] = 0;
  p.images.reference_logits.clear();
  EXPECT_THAT(message_of([&] { session->prepare(0, session->upload(p.images), {.fitness = FitnessKind::kl}, {}); },
                         ErrorKind::internal),
              HasSubstr("'kl'"));
  const auto stranger = make_reference_backend()->open(p.network);
  EXPECT_THAT(message_of([&] { session->evaluate(stranger->upload(p.images)); }, ErrorKind::internal),
              HasSubstr("another backend"));
}

TEST(EngineMemory, RunsOutWithASentenceAndGivesEverythingBack) {
  const Problem p;
  const auto device = std::make_shared<test::EmulatedDevice>(test::EmulationOptions{.memory = 20000});
  {
    const auto session = make_engine(device, {})->open(p.network);
    const auto handle = session->upload(p.images);
    EXPECT_THAT(message_of([&] { session->prepare(0, handle, {.offspring = 4000}, {}); }, ErrorKind::device),
                HasSubstr("device memory ran out"));
    EXPECT_GT(session->evaluate(handle).predicted.size(), 0u) << "the session survives";
  }
  EXPECT_EQ(device->bytes_in_use(), 0u);
}

TEST(EngineMemory, SmallBudgetsMeanSmallChunksAndTheSameBytes) {
  const Problem p;
  const test::Outcome expected = test::run_search(*make_reference_backend(), p.network, p.images, 0, {});
  for (const std::int64_t bytes : {1 << 16, 1 << 18, 1 << 20}) {
    const auto backend = make_engine(std::make_shared<test::EmulatedDevice>(test::EmulationOptions{.streams = 2}),
                                     {.memory_bytes = bytes});
    try {
      test::expect_equal(test::run_search(*backend, p.network, p.images, 0, {}), expected, std::to_string(bytes));
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), HasSubstr("lower search.chunk"));
    }
  }
}

}  // namespace
}  // namespace qnudge::cuda
