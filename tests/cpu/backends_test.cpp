// SPDX-License-Identifier: MIT
// Planned, tiled, threaded evaluation against plain whole-network evaluation, on random networks: equality of bytes.
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

#include "qnudge/core/error.hpp"
#include "qnudge/cpu/conv_kernel.hpp"
#include "qnudge/cpu/host_backend.hpp"
#include "qnudge/quant/residual.hpp"
#include "support/naive_network.hpp"
#include "support/random_network.hpp"

namespace qnudge {
namespace {

using Tensors = std::map<int, std::vector<std::uint8_t>>;

Tensors all_tensors(Backend& backend, const IntNetwork& network, const ImageSet& images) {
  Tensors tensors;
  const auto session = backend.open(network);
  session->visit_tensors(session->upload(images), [&](int node, std::span<const std::uint8_t> bytes) {
    tensors[node].assign(bytes.begin(), bytes.end());
  });
  return tensors;
}

/// The oracle's tensors: int64 sums, straight from the definition, one image at a time.
Tensors naive_tensors(const IntNetwork& network, const ImageSet& images) {
  Tensors tensors;
  const auto size = static_cast<std::size_t>(network.nodes.front().shape.size());
  for (std::int64_t i = 0; i < images.count; ++i) {
    const auto run =
        test::naive_run(network, std::span(images.codes).subspan(static_cast<std::size_t>(i) * size, size));
    for (std::size_t n = 0; n < run.size(); ++n) {
      auto& tensor = tensors[static_cast<int>(n)];
      if (static_cast<int>(n) == network.output && network.float_output()) {
        const auto* bytes = reinterpret_cast<const std::uint8_t*>(run[n].values.data());
        tensor.insert(tensor.end(), bytes, bytes + run[n].values.size() * sizeof(float));
      } else {
        tensor.insert(tensor.end(), run[n].codes.begin(), run[n].codes.end());
      }
    }
  }
  return tensors;
}

class RandomNetworks : public testing::TestWithParam<int> {};

TEST_P(RandomNetworks, EveryTensorEqualsTheOracle) {
  for (int i = 0; i < 25; ++i) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 25 + i);
    const IntNetwork network = test::random_network(seed);
    const ImageSet images = test::random_images(network, 5, seed);
    const Tensors expected = naive_tensors(network, images);
    const auto reference = make_reference_backend();
    const auto host = make_host_backend({.threads = 2, .tile = 2});
    const auto own = make_host_backend({.threads = 1, .tile = 4, .vendor_kernels = false});
    for (Backend* backend : {reference.get(), host.get(), own.get()}) {
      const Tensors found = all_tensors(*backend, network, images);
      for (const auto& [node, bytes] : expected) {
        ASSERT_EQ(found.at(node), bytes) << backend->name() << ", seed " << seed << ", node " << node << " ("
                                         << kind_of(network.at(node)) << ")";
      }
    }
  }
}

struct SearchOutcome {
  PopulationState state;
  std::vector<GenerationRecord> history;
};

SearchOutcome run_search(Backend& backend, const IntNetwork& network, const ImageSet& images, int layer,
                         const PopulationOptions& options) {
  const auto session = backend.open(network);
  const auto targets = residual_targets(network.layer(layer), network.layer(layer).params);
  const auto search = session->prepare(layer, session->upload(images), options, targets);
  const StopFlag never{false};
  search->start();
  search->repeat(4, never, [&] {
    for (int c = 0; c < search->chunks(); ++c) {
      search->mutate(c);
      search->evaluate(c);
    }
    search->select();
  });
  return {search->save(), search->take_history()};
}

void expect_equal(const SearchOutcome& a, const SearchOutcome& b, const std::string& what) {
  EXPECT_EQ(a.state.start_fitness, b.state.start_fitness) << what;
  EXPECT_EQ(a.state.fitness, b.state.fitness) << what;
  EXPECT_EQ(a.state.parents, b.state.parents) << what;
  ASSERT_EQ(a.history.size(), b.history.size()) << what;
  for (std::size_t g = 0; g < a.history.size(); ++g) {
    EXPECT_EQ(a.history[g].best, b.history[g].best) << what;
    EXPECT_EQ(a.history[g].worst, b.history[g].worst) << what;
    EXPECT_EQ(a.history[g].accepted, b.history[g].accepted) << what;
  }
}

TEST_P(RandomNetworks, PlannedSearchEqualsNaiveSearchForAnyChunkTileAndThreads) {
  for (int i = 0; i < 6; ++i) {
    const auto seed = static_cast<std::uint64_t>(1000 + GetParam() * 6 + i);
    const IntNetwork network = test::random_network(seed);
    const ImageSet images = test::random_images(network, 7, seed);
    for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
      if (!network.layer(layer).tunable) continue;
      PopulationOptions options{.parents = 3, .offspring = 5, .seed = seed, .rate = 0.2};
      options.fitness = static_cast<FitnessKind>((seed + static_cast<std::uint64_t>(layer)) % 4);
      options.mutation = layer % 2 ? MutationKind::residual : MutationKind::uniform;
      const SearchOutcome expected = run_search(*make_reference_backend(), network, images, layer, options);
      for (const auto& [threads, tile, chunk] : {std::tuple{1, 2, 0}, {2, 4, 2}, {3, 1, 5}}) {
        options.chunk = chunk;
        expect_equal(
            run_search(*make_host_backend({.threads = threads, .tile = tile}), network, images, layer, options),
            expected, fmt::format("seed {} layer {} threads {} tile {}", seed, layer, threads, tile));
      }
    }
  }
}

TEST_P(RandomNetworks, AccumulatorMeansEqualTheOracle) {
  const auto seed = static_cast<std::uint64_t>(2000 + GetParam());
  const IntNetwork network = test::random_network(seed);
  const ImageSet images = test::random_images(network, 9, seed);
  const auto reference = make_reference_backend()->open(network);
  const auto host = make_host_backend({.threads = 2, .tile = 4})->open(network);
  for (int layer = 0; layer < static_cast<int>(network.layers.size()); ++layer) {
    EXPECT_EQ(host->accumulator_means(layer, host->upload(images)),
              reference->accumulator_means(layer, reference->upload(images)))
        << "seed " << seed << " layer " << layer;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomNetworks, testing::Range(0, 8));

TEST(Population, SavedAndRestoredGoesOnWithTheSameBytes) {
  const IntNetwork network = test::random_network(3);
  const ImageSet images = test::random_images(network, 6, 3);
  const auto backend = make_host_backend({.threads = 2});
  const auto session = backend->open(network);
  const auto handle = session->upload(images);
  const PopulationOptions options{
      .parents = 4, .offspring = 6, .seed = 11, .fitness = FitnessKind::cross_entropy, .rate = 0.3};
  const StopFlag never{false};
  const auto generation = [](LayerSearch& s) { return [&s] { s.mutate(0), s.evaluate(0), s.select(); }; };

  const auto whole = session->prepare(0, handle, options, {});
  whole->start();
  whole->repeat(6, never, generation(*whole));
  const auto first = session->prepare(0, handle, options, {});
  first->start();
  first->repeat(2, never, generation(*first));
  const auto second = session->prepare(0, handle, options, {});
  second->restore(first->save());
  second->repeat(6, never, generation(*second));
  EXPECT_EQ(second->save().parents, whole->save().parents);
  EXPECT_EQ(second->save().fitness, whole->save().fitness);
  EXPECT_EQ(second->save().generation, 6);
}

TEST(Population, StopFlagEndsBeforeTheNextGeneration) {
  const IntNetwork network = test::random_network(3);
  const auto session = make_host_backend({.threads = 1})->open(network);
  const auto search = session->prepare(0, session->upload(test::random_images(network, 2, 1)), {}, {});
  search->start();
  StopFlag stop{false};
  int calls = 0;
  search->repeat(100, stop, [&] {
    search->mutate(0), search->evaluate(0), search->select();
    if (++calls == 3) stop = true;
  });
  EXPECT_EQ(search->save().generation, 3);
  EXPECT_EQ(search->mailbox().generation, 3);
}

TEST(Population, ElitismNeverLosesTheBest) {
  const IntNetwork network = test::random_network(12);
  const auto session = make_host_backend({.threads = 2})->open(network);
  const PopulationOptions options{.parents = 4, .offspring = 8, .fitness = FitnessKind::kl, .rate = 0.05};
  const auto search = session->prepare(0, session->upload(test::random_images(network, 16, 5)), options, {});
  const StopFlag never{false};
  search->start();
  std::int64_t best = search->mailbox().best;
  search->repeat(12, never, [&] { search->mutate(0), search->evaluate(0), search->select(); });
  for (const GenerationRecord& record : search->take_history()) {
    EXPECT_GE(record.best, best);
    EXPECT_LE(record.worst, record.best);
    best = record.best;
  }
  EXPECT_TRUE(search->take_history().empty());
}

TEST(ImageSets, RefusesWhatCannotBeScored) {
  const IntNetwork network = test::random_network(3);
  const auto session = make_host_backend({.threads = 1})->open(network);
  ImageSet images = test::random_images(network, 2, 1);
  images.labels[1] = static_cast<std::int32_t>(network.output_size());
  EXPECT_THROW(session->upload(images), Error);
  images = test::random_images(network, 2, 1);
  images.reference_logits.clear();
  EXPECT_THROW(session->prepare(0, session->upload(images), {.fitness = FitnessKind::kl}, {}), Error);
  images.count = 0;
  EXPECT_THROW(session->upload(images), Error);
}

TEST(HostBackend, NamesProcessorKernelsAndThreads) {
  EXPECT_FALSE(processor_name().empty());
  EXPECT_EQ(make_host_backend({.threads = 3, .vendor_kernels = false})->device(),
            processor_name() + ", own kernels, 3 threads");
  EXPECT_EQ(make_host_backend({.threads = 1})->device(), processor_name() + ", oneDNN " + onednn_isa() + ", 1 thread");
}

}  // namespace
}  // namespace qnudge
