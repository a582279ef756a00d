// SPDX-License-Identifier: MIT
#include "qnudge/cpu/float_executor.hpp"

#include <omp.h>

#include <algorithm>
#include <memory>

#include "float_ops.hpp"
#include "parallel.hpp"
#include "primitives.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

/// Images per tile: the largest tensor of a tile is to stay in the L2 cache beside its neighbour.
std::int64_t tile_images(const Graph& graph) {
  constexpr std::int64_t kTensorBytes = 512 * 1024;
  std::int64_t largest = 1;
  for (const Node& node : graph.nodes) largest = std::max(largest, node.shape.size());
  return std::clamp<std::int64_t>(kTensorBytes / (4 * largest), 1, 16);
}

/// The float network prepared for tiles of a fixed size: packed weights, and a slot of memory for each node's output,
/// shared by nodes that are not alive together.
class FloatProgram {
 public:
  FloatProgram(const Graph& graph, std::int64_t tile) : graph_(graph), tile_(tile) {
    assign_slots();
    for (const Node& node : graph.nodes) {
      auto& step = steps_.emplace_back();
      if (node.inputs.empty()) continue;
      std::vector<Shape> shapes;
      for (const int input : node.inputs) shapes.push_back(graph.nodes[index(input)].shape);
      step = float_facet(node).prepare(node, shapes, tile);
      scratch_bytes_ = std::max(scratch_bytes_, step->scratch_bytes());
    }
  }

  /// One thread's memory.
  struct Arena {
    std::vector<AlignedBuffer> slots;
    AlignedBuffer scratch;
  };
  Arena make_arena() const {
    Arena arena;
    for (const std::int64_t elements : slot_elements_) {
      arena.slots.emplace_back(static_cast<std::size_t>(tile_ * elements) * sizeof(float));
    }
    arena.scratch = AlignedBuffer(scratch_bytes_);
    return arena;
  }

  float* values(const Arena& arena, int node) const {
    return reinterpret_cast<float*>(arena.slots[slot_[index(node)]].data());
  }

  /// Runs the tile whose input stands in values(arena, 0); `seen(node)` is called while the node's values stand.
  template <class Seen>
  void run(const Arena& arena, const Seen& seen) const {
    seen(0);
    for (int i = 1; i < static_cast<int>(graph_.nodes.size()); ++i) {
      run_node(arena, i);
      seen(i);
    }
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }

  void run_node(const Arena& arena, int i) const {
    const Node& node = graph_.nodes[index(i)];
    std::vector<const float*> inputs;
    for (const int input : node.inputs) inputs.push_back(values(arena, input));
    steps_[index(i)]->run(inputs, values(arena, i), arena.scratch.data());
  }

  void assign_slots() {
    const auto readers = consumers(graph_);
    std::vector<std::size_t> free;
    const auto dies_at = [&](int node) {
      return node == graph_.output ? static_cast<int>(graph_.nodes.size()) : readers[index(node)].back();
    };
    slot_.resize(graph_.nodes.size());
    for (int i = 0; i < static_cast<int>(graph_.nodes.size()); ++i) {
      const Node& node = graph_.nodes[index(i)];
      const auto may = float_facet(node).in_place;
      const bool in_place = may != nullptr && may(node) && dies_at(node.inputs[0]) == i &&
                            graph_.nodes[index(node.inputs[0])].shape.size() == node.shape.size();
      if (in_place) {
        slot_[index(i)] = slot_[index(node.inputs[0])];
      } else if (!free.empty()) {
        slot_[index(i)] = free.back();
        free.pop_back();
      } else {
        slot_[index(i)] = slot_elements_.size();
        slot_elements_.push_back(0);
      }
      std::int64_t& elements = slot_elements_[slot_[index(i)]];
      elements = std::max(elements, node.shape.size());
      release_inputs(node, i, dies_at, free);
    }
  }

  template <class DiesAt>
  void release_inputs(const Node& node, int i, const DiesAt& dies_at, std::vector<std::size_t>& free) const {
    for (std::size_t k = 0; k < node.inputs.size(); ++k) {
      const int input = node.inputs[k];
      const bool again = std::find(node.inputs.begin(), node.inputs.begin() + static_cast<std::ptrdiff_t>(k), input) !=
                         node.inputs.begin() + static_cast<std::ptrdiff_t>(k);
      const std::size_t slot = slot_[index(input)];
      if (!again && dies_at(input) == i && slot != slot_[index(i)]) free.push_back(slot);
    }
  }

  const Graph& graph_;
  std::int64_t tile_;
  std::vector<std::size_t> slot_;                  // by node
  std::vector<std::int64_t> slot_elements_;        // per image
  std::vector<std::unique_ptr<FloatStep>> steps_;  // by node; none for the input
  std::size_t scratch_bytes_ = 0;
};

/// Statistics of all tiles; each tile writes its own part, so that threads do not matter.
class Statistics {
 public:
  Statistics(const Graph& graph, const FloatObservation& observe, std::int64_t tile, std::int64_t tiles, int threads)
      : graph_(graph), observe_(observe), tile_(tile), first_(graph.nodes.size(), kUnwanted) {
    if (observe.ranges) ranges_.assign(static_cast<std::size_t>(threads), std::vector<float>(graph.nodes.size(), 0.0f));
    if (observe.grid_errors) errors_.resize(static_cast<std::size_t>(tiles) * observe.grids.size());
    if (!observe.means) return;
    for (const int node : observe.mean_nodes) {
      std::size_t& first = first_[static_cast<std::size_t>(node)];
      if (first != kUnwanted) continue;
      first = channels_;
      channels_ += static_cast<std::size_t>(graph.nodes[static_cast<std::size_t>(node)].shape.c);
    }
    sums_.resize(static_cast<std::size_t>(tiles) * channels_);
  }

  void gather(int thread, std::int64_t tile, int node, const float* values, std::int64_t images) {
    const auto i = static_cast<std::size_t>(node);
    const Shape& shape = graph_.nodes[i].shape;
    if (observe_.ranges) {
      float& range = ranges_[static_cast<std::size_t>(thread)][i];
      const float candidates[] = {range, largest_magnitude(values, images * shape.size())};
      range = largest_magnitude(candidates, 2);
    }
    if (observe_.grid_errors) gather_errors(tile, node, values, images * shape.size());
    for (const FloatSamples& wanted : observe_.samples) {
      if (wanted.node == node) sample_positions(wanted, tile * tile_, images, shape, values);
    }
    if (first_[i] == kUnwanted) return;
    channel_sums(values, images * shape.h * shape.w, shape.c,
                 sums_.data() + static_cast<std::size_t>(tile) * channels_ + first_[i]);
  }

  void finish(std::int64_t count) {
    if (observe_.ranges) {
      observe_.ranges->assign(graph_.nodes.size(), 0.0f);
      for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
        std::vector<float> parts;
        for (const auto& ranges : ranges_) parts.push_back(ranges[i]);
        (*observe_.ranges)[i] = largest_magnitude(parts.data(), static_cast<std::int64_t>(parts.size()));
      }
    }
    if (observe_.grid_errors) sum_errors();
    if (!observe_.means) return;
    observe_.means->clear();
    for (const int node : observe_.mean_nodes) observe_.means->push_back(means_of(node, count));
  }

 private:
  static constexpr std::size_t kUnwanted = static_cast<std::size_t>(-1);

  void gather_errors(std::int64_t tile, int node, const float* values, std::int64_t count) {
    for (std::size_t g = 0; g < observe_.grids.size(); ++g) {
      if (observe_.grids[g].node != node) continue;
      GridErrors& errors = errors_[static_cast<std::size_t>(tile) * observe_.grids.size() + g];
      for (std::size_t e = 0; e < errors.size(); ++e) {
        const int exponent = observe_.grids[g].exponent - static_cast<int>(e);
        errors[e] = squared_error(values, count, std::ldexp(1.0f, exponent));
      }
    }
  }

  void sum_errors() {
    observe_.grid_errors->assign(observe_.grids.size(), GridErrors{});
    for (std::size_t i = 0; i < errors_.size(); ++i) {
      GridErrors& total = (*observe_.grid_errors)[i % observe_.grids.size()];
      for (std::size_t e = 0; e < total.size(); ++e) total[e] += errors_[i][e];
    }
  }

  std::vector<double> means_of(int node, std::int64_t count) const {
    const Shape& shape = graph_.nodes[static_cast<std::size_t>(node)].shape;
    std::vector<double> means(static_cast<std::size_t>(shape.c), 0.0);
    for (std::size_t at = first_[static_cast<std::size_t>(node)]; at < sums_.size(); at += channels_) {
      for (std::size_t c = 0; c < means.size(); ++c) means[c] += sums_[at + c];
    }
    for (double& mean : means) mean /= static_cast<double>(count * shape.h * shape.w);
    return means;
  }

  const Graph& graph_;
  const FloatObservation& observe_;
  const std::int64_t tile_;                 // images
  std::vector<std::vector<float>> ranges_;  // [threads][nodes]
  std::vector<std::size_t> first_;          // by node: place of its channels within a tile's sums
  std::size_t channels_ = 0;                // wanted, of all nodes
  std::vector<double> sums_;                // [tiles, channels]
  std::vector<GridErrors> errors_;          // [tiles, grids]
};

}  // namespace

FloatExecutor::FloatExecutor(const Graph& graph, int threads)
    : graph_(graph), threads_(threads > 0 ? threads : omp_get_num_procs()) {}

std::vector<float> FloatExecutor::run(std::int64_t count, const SampleReader& samples,
                                      const FloatObservation& observe) const {
  require(count > 0, ErrorKind::internal, "the float network was asked for {} samples", count);
  const std::int64_t tile = std::min(tile_images(graph_), count), tiles = (count + tile - 1) / tile;
  const std::int64_t inputs = graph_.input_shape().size(), outputs = graph_.output_shape().size();
  const FloatProgram program(graph_, tile);
  Statistics statistics(graph_, observe, tile, tiles, threads_);
  std::vector<FloatProgram::Arena> arenas(static_cast<std::size_t>(threads_));
  std::vector<float> result(static_cast<std::size_t>(count * outputs));

  parallel_for(threads_, tiles, [&](int thread, std::int64_t t) {
    FloatProgram::Arena& arena = arenas[static_cast<std::size_t>(thread)];
    if (arena.slots.empty()) arena = program.make_arena();
    const std::int64_t first = t * tile, images = std::min(tile, count - first);
    float* x = program.values(arena, 0);
    samples(first, images, {x, static_cast<std::size_t>(images * inputs)});
    std::fill(x + images * inputs, x + tile * inputs, 0.0f);  // a last tile that is not full
    program.run(arena, [&](int node) { statistics.gather(thread, t, node, program.values(arena, node), images); });
    std::copy_n(program.values(arena, graph_.output), images * outputs, result.data() + first * outputs);
  });
  statistics.finish(count);
  return result;
}

}  // namespace qnudge
