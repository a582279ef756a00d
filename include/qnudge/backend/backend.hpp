// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qnudge/core/stop.hpp"
#include "qnudge/kernels/mutate.hpp"
#include "qnudge/kernels/score.hpp"
#include "qnudge/quant/gram.hpp"
#include "qnudge/quant/network.hpp"
#include "qnudge/quant/targets.hpp"

namespace qnudge {

/// Samples as the integer network reads them.
struct ImageSet {
  std::int64_t count = 0;
  std::vector<std::int8_t> codes;              ///< [count, H, W, C]; empty with half activations
  std::vector<Half> halves;                    ///< [count, H, W, C]; empty without
  std::vector<std::int32_t> labels;            ///< [count]
  std::vector<std::int32_t> reference_logits;  ///< [count, outputs] Q16 of the float model; empty: no `kl`
  /// [count, H, W, C] the samples themselves on the error grid of the input (kernels/reconstruction.hpp). With them the
  /// network is one that gives its input back: it is judged by that, and its outputs are no classes. Empty: classes.
  std::vector<std::int16_t> originals;
};

/// Throws Error for sizes that contradict each other or the network, and for labels without an output; with originals
/// also unless the output has the shape of the input.
void check_image_set(const IntNetwork& network, const ImageSet& set);

/// An ImageSet held by one session; made by Session::upload.
class ResidentImages {
 public:
  virtual ~ResidentImages() = default;
  virtual std::int64_t count() const = 0;
};
using ImagesHandle = std::shared_ptr<const ResidentImages>;

struct Evaluation {
  std::vector<std::int64_t> errors;  ///< [count] reconstruction errors of a set with originals; the rest is empty then
  std::vector<std::int32_t> predicted;  ///< [count], ties to the lower class
  std::int64_t correct = 0;
  std::int64_t cross_entropy = 0;  ///< sum over images, Q16 nats
  std::int64_t kl = 0;             ///< sum over images of KL(float || quantised), Q16 nats; 0 without reference logits
};

struct PopulationOptions {
  std::int32_t parents = 32, offspring = 32;
  std::uint64_t seed = 1;
  FitnessKind fitness = FitnessKind::top1;
  MutationKind mutation = MutationKind::uniform;
  double rate = 0.02;      ///< mean mutation probability per weight
  std::int32_t chunk = 0;  ///< offspring resident at a time; 0: all (changes memory, never a result between codes)
};

/// Strategy "channel": every output channel is a population of its own with one elite.
struct ChannelOptions {
  std::int32_t offspring = 8;
  std::int32_t generations = 8;  ///< over which the rate falls evenly from `rate` to `rate_end`
  std::uint64_t seed = 1;
  MutationKind mutation = MutationKind::residual;
  double rate = 0.02, rate_end = 0.02;

  /// Basic operations only: the same everywhere.
  double rate_at(std::int32_t generation) const {
    if (generations < 2) return rate;
    const double share = static_cast<double>(generation) / static_cast<double>(generations - 1);
    return rate + (rate_end - rate) * share;
  }
};

/// Strategy "gram": every output channel is a population of its own on the layer's quadratic form.
struct GramOptions {
  std::int32_t parents = 1, offspring = 8;
  std::uint64_t seed = 1;
  double rate = 0.03;      ///< probability that a code is moved before descent
  bool joint_gain = true;  ///< fit each channel's gain along with its codes (kStartFits, kFitEvery)
};

/// What a progress bar may look at while a layer is searched; the device writes it, nobody waits for it.
struct Mailbox {
  std::atomic<std::int64_t> generation{0}, best{0}, candidate_images{0};
};

/// One line of history.
struct GenerationRecord {
  std::int32_t generation = 0;  ///< 1-based
  std::int64_t best = 0;        ///< best parent's fitness after selection; by channel: the sum over channels
  std::int64_t worst = 0;       ///< worst surviving parent's; by channel: the worst channel's
  std::int32_t accepted = 0;    ///< offspring among the survivors; by channel: channels with a fitter elite
};

/// Everything that a later run needs to go on with a layer.
struct PopulationState {
  std::int32_t generation = 0;
  std::int64_t start_fitness = 0;
  std::vector<std::int8_t> parents;   ///< [mu, K, R, S, C] by rank; by channel: every channel's fittest elite first
  std::vector<std::int64_t> fitness;  ///< [mu] by rank; by channel: [K] of the fittest elites
  std::vector<double> gains;          ///< [K], by Gram matrix: what the codes of a channel have been fitted with
};

/// The search of one layer, resident on a device: of whole layers, or of every output channel on its own (then a genome
/// is made of every channel's fittest elite and fitness is minus a squared error per channel). All operations enqueue
/// and return nothing; the caller reads only after `repeat`. The number of the generation, the ranking and the
/// survivors live in the backend.
class LayerSearch {
 public:
  virtual ~LayerSearch() = default;

  /// Parents <- mu copies of the layer's current codes, their fitness evaluated once; generation 0.
  virtual void start() = 0;
  /// Goes on from a saved state instead.
  virtual void restore(const PopulationState& state) = 0;

  /// Offspring j of chunk c <- mutated copy of the parent of rank (j mod mu).
  virtual std::int32_t chunks() const = 0;
  virtual void mutate(std::int32_t chunk) = 0;
  /// Fitness of every offspring of chunk c over the whole image set.
  virtual void evaluate(std::int32_t chunk) = 0;
  /// Parents <- best mu of parents and offspring by (fitness, parents before offspring, lower index); one record is
  /// appended to the history, the mailbox and the generation counter move on.
  virtual void select() = 0;

  /// Runs `body` until the generation counter is `limit` or `stop`, which it looks at before every generation, is set.
  /// May also end within a generation by Error(kind interrupted) (core/stop.hpp). `body` may only enqueue and must not
  /// look at anything that changes between generations: a backend may record it once and replay it.
  virtual void repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) = 0;

  virtual PopulationState save() const = 0;  ///< reads back; within a generation: the state at its beginning
  virtual std::vector<GenerationRecord> take_history() = 0;  ///< records since the last call
  virtual const Mailbox& mailbox() const = 0;
};

/// One integer network on one device. Layers' parameters can be replaced; everything else is fixed.
class Session {
 public:
  virtual ~Session() = default;
  virtual void set_layer(int layer, const LayerParams& params) = 0;
  virtual ImagesHandle upload(const ImageSet& images) = 0;
  virtual Evaluation evaluate(const ImagesHandle& images) = 0;
  /// Mean over images and positions of layer's accumulator without bias, [K]: an exact integer sum divided once; of
  /// halves the sum of TapSums times the filter.
  virtual std::vector<double> accumulator_means(int layer, const ImagesHandle& images) = 0;
  /// Output of every node for every image, in node order: codes as bytes, halves as two bytes each, a float output as
  /// fp32 bytes; [count, HWC].
  using TensorVisitor = std::function<void(int node, std::span<const std::uint8_t> bytes)>;
  virtual void visit_tensors(const ImagesHandle& images, const TensorVisitor& visitor) = 0;
  /// The layer plan: prefix evaluated and cached for `images`, `layer` ready to be searched. Valid until the next
  /// set_layer.
  virtual std::unique_ptr<LayerSearch> prepare(int layer, const ImagesHandle& images, const PopulationOptions& options,
                                               std::span<const std::int16_t> residual_targets) = 0;

  /// What strategies by channel need; a backend without them refuses with Error(kind device), and any backend with
  /// Error(kind internal) with half activations: what is fitted are 8-bit codes. Image i of `targets` is
  /// image i of `images`; `targets.values` stay valid while what is returned lives. Every integer is defined by
  /// kernels/channel_error.hpp, kernels/descent.hpp and quant/gram.hpp, so that all backends return the same.
  ///
  /// Exact sums over the rows that `targets` observes, read by `layer` from the network as it stands.
  virtual GramSums gram_sums(int layer, const ImagesHandle& images, const LayerTargets& targets);
  /// Offspring j of generation g mutates each channel's elite as `prepare` mutates parent 0 (same draws); fitness of a
  /// channel is minus the sum of ChannelError over the observed rows; a channel takes the offspring with its highest
  /// fitness, lowest index first, if above its own. Frozen channels stay and count.
  virtual std::unique_ptr<LayerSearch> prepare_channels(int layer, const ImagesHandle& images,
                                                        const LayerTargets& targets, const ChannelOptions& options,
                                                        std::span<const std::int16_t> residual_targets);
  /// `start` descends from the layer's codes, rows by falling diagonal, until a sweep takes no step (at most
  /// kStartSweeps); with joint gain kStartFits times, each followed by a fit of every channel's gain, which scales its
  /// c from there on; `select` fits it again after every kFitEvery-th generation. Offspring j of generation g: the
  /// elite perturbed (Purpose::perturb), then at most kOffspringSweeps sweeps in RowOrder (Purpose::row_order); a
  /// channel takes the offspring with the lowest error, lowest index first, if below its own. Fitness is minus the
  /// error of `form` at the channel's gain; frozen channels count 0.
  virtual std::unique_ptr<LayerSearch> prepare_gram(int layer, GramForm form, const GramOptions& options);
};

/// Throws Error(kind internal) with half activations.
void require_codes(const IntNetwork& network);

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;    ///< "host", "reference", "cuda"
  virtual std::string device() const = 0;  ///< for reports, e.g. processor, instruction set, threads
  /// Why this network cannot run here, naming the node; nothing if it can.
  virtual std::optional<std::string> reject(const IntNetwork& network) const = 0;
  virtual std::unique_ptr<Session> open(const IntNetwork& network) = 0;
};

}  // namespace qnudge
