// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "qnudge/backend/backend.hpp"
#include "qnudge/kernels/descent.hpp"

namespace qnudge {

/// Memetic evolution of every output channel on its quadratic form; channels are spread over threads. Rows are kept in
/// falling order of the diagonal, so that a sweep reads memory forwards. Offspring live for one channel at a time, in
/// one thread's scratch: `evaluate` draws them itself and lets the channel's elites give way to them.
class HostGramSearch : public LayerSearch {
 public:
  HostGramSearch(const IntNetwork& network, int layer, GramForm form, const GramOptions& options, int threads);

  void start() override;
  void restore(const PopulationState& state) override;
  std::int32_t chunks() const override { return 1; }
  void mutate(std::int32_t) override {}
  void evaluate(std::int32_t chunk) override;
  void select() override;
  void repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) override;
  PopulationState save() const override;
  std::vector<GenerationRecord> take_history() override;
  const Mailbox& mailbox() const override { return mailbox_; }

 private:
  /// Codes of one channel with what descent keeps beside them.
  struct Point {
    std::vector<std::int32_t> codes;     // [taps] by rank
    std::vector<std::int64_t> gradient;  // [taps] by rank
    std::int64_t error = 0;
  };
  /// What the gain does to a channel.
  struct Scaled {
    double gain = 1;
    std::vector<std::int64_t> linear;  // [taps] by rank: c / gain
  };
  using Elites = std::vector<Point>;  // [mu], the fittest first
  struct Scratch {
    Point offspring;
    std::vector<Point> fittest;  // [mu] offspring of each elite, as fit as that where none is fitter
  };
  Point point_at(std::int64_t channel, const std::int8_t* codes) const;
  void place(std::span<const std::int8_t> codes, const std::vector<double>& gains);
  void descend(std::int64_t channel);
  void fit_gain(std::int64_t channel);
  void set_gain(std::int64_t channel, double gain);
  std::int64_t linear_at(std::int64_t channel, std::int64_t rank) const;
  std::int64_t error_of(std::int64_t channel) const;
  void move(Point& point, std::int64_t channel, std::int64_t rank, std::int32_t d) const;
  bool sweep(Point& point, std::int64_t channel, const RowOrder& order) const;
  DrawAddress address(std::int32_t offspring, Purpose purpose) const;
  template <class Step>
  void move_all(Point& point, std::int64_t channel, const DrawAddress& at, const Step& step) const;
  bool cross(Point& point, std::int64_t channel, std::int32_t offspring, std::int32_t own) const;
  void perturb(Point& point, std::int64_t channel, std::int32_t offspring) const;
  RowOrder row_order(std::int32_t offspring) const;
  void evolve_channel(std::int64_t channel, Scratch& scratch);
  static bool select_offspring(Elites& elites, std::vector<Point>& fittest);
  bool searched(std::int64_t channel) const { return form_.frozen[static_cast<std::size_t>(channel)] == 0; }
  std::int64_t total_error() const;
  void publish();

  const GramForm form_;
  const GramOptions options_;
  const int ordinal_, threads_;
  const std::vector<std::int8_t> start_codes_;
  DescentRule descent_;
  PerturbRule perturbation_;
  Lineages lineages_;
  std::vector<std::int32_t> matrix_;    // [groups, taps, taps] by rank
  std::vector<std::int32_t> diagonal_;  // [groups, taps] of it
  std::vector<std::int32_t> rank_;      // [groups, taps] of each tap
  std::vector<Scaled> scaled_;          // [channels]
  std::vector<Elites> elites_;          // [channels]
  std::vector<std::uint8_t> accepted_;  // [channels] 1: this generation found a fitter elite
  std::int64_t start_fitness_ = 0;
  std::int32_t generation_ = 0;
  std::optional<PopulationState> before_;  // within a generation, which moves elites at once
  std::vector<GenerationRecord> history_;
  Mailbox mailbox_;
};

}  // namespace qnudge
