// SPDX-License-Identifier: MIT
#include <numeric>

#include "host_session.hpp"
#include "population.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/cpu/host_backend.hpp"

namespace qnudge {
namespace {

/// Scores a genome by putting it into the network and evaluating all of it: no plan, no cache.
class NaiveSearch : public HostPopulation {
 public:
  NaiveSearch(HostSession& session, const Layer& layer, int ordinal, ImagesHandle images,
              const PopulationOptions& options, std::span<const std::int16_t> residual_targets)
      : HostPopulation(layer, ordinal, options, residual_targets, images->count(), 1),
        session_(session),
        ordinal_(ordinal),
        params_(layer.params),
        images_(std::move(images)),
        fitness_(options.fitness) {}

 private:
  void score(std::span<const std::int8_t> genomes, std::span<std::int64_t> fitness) override {
    LayerParams candidate = params_;
    const std::size_t genes = params_.codes.size();
    for (std::size_t p = 0; p < fitness.size(); ++p) {
      const auto genome = genomes.subspan(p * genes, genes);
      candidate.codes.assign(genome.begin(), genome.end());
      session_.set_layer(ordinal_, candidate);
      fitness[p] = total(session_.evaluate(images_));
    }
    session_.set_layer(ordinal_, params_);
  }

  std::int64_t total(const Evaluation& e) const {
    switch (fitness_) {
      case FitnessKind::top1:
        return e.correct;
      case FitnessKind::cross_entropy:
        return -e.cross_entropy;
      case FitnessKind::kl:
        return -e.kl;
      case FitnessKind::top1_then_cross_entropy:
        return e.correct * kCorrectWeight - e.cross_entropy;
      case FitnessKind::reconstruction:
        return -std::accumulate(e.errors.begin(), e.errors.end(), std::int64_t{0});
    }
    return 0;
  }

  HostSession& session_;
  const int ordinal_;
  const LayerParams params_;
  const ImagesHandle images_;
  const FitnessKind fitness_;
};

class ReferenceSession : public HostSession {
 public:
  explicit ReferenceSession(const IntNetwork& network)
      : HostSession(network, network.half() ? make_plain_half_kernel : make_plain_kernel, /*threads=*/1, /*tile=*/1),
        network_(network) {}

  void set_layer(int layer, const LayerParams& params) override {
    network_.layer(layer).params = params;
    HostSession::set_layer(layer, params);
  }

  std::unique_ptr<LayerSearch> prepare(int layer, const ImagesHandle& images, const PopulationOptions& options,
                                       std::span<const std::int16_t> residual_targets) override {
    return std::make_unique<NaiveSearch>(*this, network_.layer(layer), layer, images, options, residual_targets);
  }

 private:
  IntNetwork network_;
};

class ReferenceBackend : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string device() const override { return "plain integer loops, 1 thread"; }
  std::optional<std::string> reject(const IntNetwork&) const override { return std::nullopt; }
  std::unique_ptr<Session> open(const IntNetwork& network) override {
    return std::make_unique<ReferenceSession>(network);
  }
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

}  // namespace qnudge
