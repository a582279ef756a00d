// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>

#include "qnudge/search/tune.hpp"

namespace qnudge {

/// Structs of the config as the parts understand them.
Grid to_grid(const GridConfig& config);
Grid grid_of_layer(const QuantConfig& config, const Layer& layer);  ///< override by name or the common grid
BatchNormMode batch_norm_mode(const QuantConfig& config);
PopulationOptions population_options(const Config& config);
SplitRequest split_request(const Config& config);
ChannelOptions channel_options(const Config& config);
GramOptions gram_options(const Config& config);

/// Integer network and its float reference, ready for any grid: lowered, calibrated, params not yet set.
struct Prepared {
  IntNetwork network;
  Reference reference;
  Splits splits;
  std::shared_ptr<const TargetValues>
      targets;       ///< what descent, channel and gram fit; only where the config needs them
  std::string note;  ///< a sentence on a reference that could not be used; empty: none
};

/// True for start `descent` and the strategies `channel` and `gram`.
bool needs_targets(const SearchConfig& config);

/// What `layer` is fitted to; `prepared.targets` must be there and outlive it.
LayerTargets layer_targets(const Prepared& prepared, std::uint64_t seed, int layer);

/// Lowers the graph, draws the splits, and loads `reference_file` if it fits these inputs or computes (and, unless the
/// path is empty, saves) it; targets, where the config needs them, stand in targets.bin beside it. With `shared` both
/// are computed once and linked. A reference whose targets are lost is used if they come out the same again and refused
/// with Error(kind input) otherwise; one that is damaged or of other inputs is computed afresh, with a note. Throws as
/// check_layer_names does.
Prepared prepare_network(const Config& config, const Graph& graph, const Dataset& train, const Dataset& test,
                         const FloatPass& float_pass, const std::filesystem::path& reference_file,
                         SharedWork* shared = nullptr);

/// Throws Error(kind usage) where quant.layers or search.skip name no layer, saying which there are.
void check_layer_names(const Config& config, const IntNetwork& network);

/// Every layer at nearest codes on its configured grid.
std::vector<LayerParams> nearest_params(const IntNetwork& network, const QuantConfig& config);
/// A layer that a mode leaves alone: nearest codes of `quant.rest_bits` on its grid's scheme, or with half activations
/// halves, kHalfBits.
LayerParams rest_layer(const IntNetwork& network, const QuantConfig& config, const Layer& layer);
std::vector<LayerParams> rest_params(const IntNetwork& network, const QuantConfig& config);
int rest_bits(const QuantConfig& config);

/// Quantised inputs and labels of `indices`; reference logits are attached when given, of series the originals.
ImageSet make_image_set(const IntNetwork& network, const Dataset& dataset, const Indices& indices,
                        const Reference::Set* reference);

/// The float model's reconstruction errors of `indices` on the network's error grid.
std::vector<std::int64_t> float_errors(const IntNetwork& network, const Dataset& dataset, const Indices& indices,
                                       const FloatPass& float_pass);

/// Bias start: replaces the biases of `params` in forward order so that every channel's mean before ReLU over `images`
/// is the float model's. `session` ends up holding the corrected params.
void correct_biases(const IntNetwork& network, const Reference& reference, Session& session, const ImagesHandle& images,
                    std::vector<LayerParams>& params);

}  // namespace qnudge
