// SPDX-License-Identifier: MIT
#include "qnudge/cli/tuning_bench.hpp"

#include <algorithm>
#include <chrono>

#include "qnudge/core/stop.hpp"

namespace qnudge {
namespace {

/// Seconds that `work` takes.
template <class Work>
double seconds_of(const BenchClock& now, const Work& work) {
  const double begun = now();
  work();
  return now() - begun;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// What one search does, to be timed in parts.
class TimedSearch {
 public:
  TimedSearch(LayerSearch& search, const BenchClock& now) : search_(search), now_(now) {}

  /// Adds the phases' times of `generations` to `sums`. False if the body was not called for each of them.
  bool phases(int generations, LayerTiming& sums) {
    int calls = 0;
    repeat(generations, [&] {
      ++calls;
      for (std::int32_t chunk = 0; chunk < search_.chunks(); ++chunk) {
        sums.mutate_seconds += seconds_of(now_, [&] { search_.mutate(chunk); });
        sums.evaluate_seconds += seconds_of(now_, [&] { search_.evaluate(chunk); });
      }
      sums.select_seconds += seconds_of(now_, [&] { search_.select(); });
    });
    return calls == generations;
  }

  /// Of one generation with some of its phases, from the difference of two lengths.
  double seconds_each(int generations, bool mutate, bool evaluate) {
    const auto body = [&] {
      for (std::int32_t chunk = 0; chunk < search_.chunks(); ++chunk) {
        if (mutate) search_.mutate(chunk);
        if (evaluate) search_.evaluate(chunk);
      }
      search_.select();
    };
    const int few = std::max(1, generations / 5);
    const double of_few = seconds_of(now_, [&] { repeat(few, body); });
    const double of_all = seconds_of(now_, [&] { repeat(generations, body); });
    return of_all > of_few ? (of_all - of_few) / (generations - few) : of_all / generations;
  }

 private:
  template <class Body>
  void repeat(int generations, const Body& body) {
    static const StopFlag never{false};
    const StopFlag* const stop = StopScope::current();
    search_.repeat(search_.save().generation + generations, stop != nullptr ? *stop : never, body);
    stop_point();
  }

  LayerSearch& search_;
  const BenchClock& now_;
};

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

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

LayerTiming time_layer(const std::function<std::unique_ptr<LayerSearch>()>& open, int generations,
                       const BenchClock& now) {
  constexpr int kFirst = 2;  // tell backends that replay from others
  const int all = std::max(kFirst, generations);
  LayerTiming timing;
  std::unique_ptr<LayerSearch> search;
  timing.prepare_seconds = seconds_of(now, [&] { search = open(); });
  timing.start_seconds = seconds_of(now, [&] { search->start(); });
  TimedSearch timed(*search, now);
  LayerTiming sums;
  if (timed.phases(kFirst, sums)) {
    if (all > kFirst) timed.phases(all - kFirst, sums);
    timing.mutate_seconds = sums.mutate_seconds / all;
    timing.evaluate_seconds = sums.evaluate_seconds / all;
    timing.select_seconds = sums.select_seconds / all;
    return timing;
  }
  const double whole = timed.seconds_each(all, true, true);
  timing.select_seconds = timed.seconds_each(all, false, false);
  timing.mutate_seconds = std::max(0.0, timed.seconds_each(all, true, false) - timing.select_seconds);
  timing.evaluate_seconds = std::max(0.0, whole - timing.select_seconds - timing.mutate_seconds);
  return timing;
}

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
  for (int i = 0; i < plan.repeats; ++i)
    inference.push_back(seconds_of(steady_seconds, [&] { session.evaluate(images); }));
  times.inference_seconds = median(std::move(inference));
  for (const int l : plan.layers) {
    std::vector<LayerTiming> repeats;
    for (int i = 0; i < plan.repeats; ++i) repeats.push_back(time_layer([&] { return open(l); }, plan.generations));
    times.layers.push_back(median_of(repeats, network.layer(l).name));
  }
  return times;
}

}  // namespace qnudge
