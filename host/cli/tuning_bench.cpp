// SPDX-License-Identifier: MIT
#include "qnudge/cli/tuning_bench.hpp"

#include <algorithm>
#include <chrono>

namespace qnudge {
namespace {

template <class Work>
double seconds_of(const Work& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// Times of one pass through a layer's search. Where a backend replays what it has recorded, the phases are told apart
/// by repeating without one of them.
LayerTiming time_layer_once(int layer, const OpenSearch& open, int generations) {
  LayerTiming timing;
  std::unique_ptr<LayerSearch> search;
  timing.prepare_seconds = seconds_of([&] { search = open(layer); });
  timing.start_seconds = seconds_of([&] { search->start(); });
  const StopFlag never{false};
  int calls = 0;
  const double whole = seconds_of([&] {
    search->repeat(generations, never, [&] {
      ++calls;
      for (std::int32_t chunk = 0; chunk < search->chunks(); ++chunk) {
        timing.mutate_seconds += seconds_of([&] { search->mutate(chunk); }) / generations;
        timing.evaluate_seconds += seconds_of([&] { search->evaluate(chunk); }) / generations;
      }
      timing.select_seconds += seconds_of([&] { search->select(); }) / generations;
    });
  });
  if (calls < generations) {  // recorded once and replayed
    const auto seconds_each = [&](bool mutate) {
      const std::int32_t limit = search->save().generation + generations;
      const double seconds = seconds_of([&] {
        search->repeat(limit, never, [&] {
          for (std::int32_t chunk = 0; mutate && chunk < search->chunks(); ++chunk) search->mutate(chunk);
          search->select();
        });
      });
      return seconds / generations;
    };
    timing.select_seconds = seconds_each(false);
    timing.mutate_seconds = std::max(0.0, seconds_each(true) - timing.select_seconds);
    timing.evaluate_seconds = std::max(0.0, whole / generations - timing.select_seconds - timing.mutate_seconds);
  }
  return timing;
}

LayerTiming median_of(const std::vector<LayerTiming>& repeats, const std::string& name) {
  const auto pick = [&](double LayerTiming::*member) {
    std::vector<double> values;
    for (const LayerTiming& timing : repeats) values.push_back(timing.*member);
    return median(std::move(values));
  };
  return {.name = name,
          .prepare_seconds = pick(&LayerTiming::prepare_seconds),
          .start_seconds = pick(&LayerTiming::start_seconds),
          .mutate_seconds = pick(&LayerTiming::mutate_seconds),
          .evaluate_seconds = pick(&LayerTiming::evaluate_seconds),
          .select_seconds = pick(&LayerTiming::select_seconds)};
}

}  // namespace

double TuningTimes::candidate_images_per_second() const {
  double seconds = 0;
  for (const LayerTiming& layer : layers) seconds += layer.generation_seconds();
  return static_cast<double>(images * offspring) * static_cast<double>(layers.size()) / seconds;
}

double TuningTimes::inference_images_per_second() const {
  return static_cast<double>(images) / inference_seconds;
}

double TuningTimes::mutation_share() const {
  double mutation = 0, all = 0;
  for (const LayerTiming& layer : layers) {
    mutation += layer.mutate_seconds;
    all += layer.generation_seconds();
  }
  return mutation / all;
}

double TuningTimes::once_seconds() const {
  double seconds = 0;
  for (const LayerTiming& layer : layers) seconds += layer.prepare_seconds + layer.start_seconds;
  return seconds;
}

TuningTimes time_tuning(const IntNetwork& network, Session& session, const ImagesHandle& images, std::int64_t offspring,
                        const OpenSearch& open, const BenchPlan& plan) {
  TuningTimes times{.layers = {}, .images = images->count(), .offspring = offspring};
  session.evaluate(images);  // warm caches and threads
  std::vector<double> inference;
  for (int i = 0; i < plan.repeats; ++i) inference.push_back(seconds_of([&] { session.evaluate(images); }));
  times.inference_seconds = median(std::move(inference));
  for (const int l : plan.layers) {
    std::vector<LayerTiming> repeats;
    for (int i = 0; i < plan.repeats; ++i) repeats.push_back(time_layer_once(l, open, plan.generations));
    times.layers.push_back(median_of(repeats, network.layer(l).name));
  }
  return times;
}

}  // namespace qnudge
