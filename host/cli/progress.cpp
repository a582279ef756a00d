// SPDX-License-Identifier: MIT
#include "qnudge/cli/progress.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "qnudge/core/printable.hpp"
#include "qnudge/report/format.hpp"

namespace qnudge {
namespace {

using namespace std::chrono_literals;

constexpr auto kRefresh = 200ms;
constexpr auto kPlainLineEvery = 10s;

/// What each stage does, for people.
std::string stage_text(std::string_view stage) {
  constexpr std::array<std::pair<std::string_view, const char*>, 6> kTexts = {{
      {"reference", "float reference: one pass over the calibration, fitness, gate and test images"},
      {"nearest", "nearest rounding: fitness, gate and test images"},
      {"start", "start of the search: fitness, gate and test images"},
      {"sensitivity", "sensitivity: each layer alone on the calibration images"},
      {"search", "search: layer by layer"},
      {"test", "result: gate and test images"},
  }};
  for (const auto& [name, text] : kTexts) {
    if (name == stage) return text;
  }
  return std::string(stage);
}

std::string bar(double share) {
  constexpr int kWidth = 20;
  const int filled = std::clamp(static_cast<int>(share * kWidth), 0, kWidth);
  return fmt::format("[{}{}]", std::string(static_cast<std::size_t>(filled), '#'),
                     std::string(static_cast<std::size_t>(kWidth - filled), '-'));
}

}  // namespace

std::string fitting_line(std::vector<StatusPart> parts, std::size_t width) {
  const auto joined = [&] {
    std::string line;
    for (const StatusPart& part : parts) line.append(line.empty() ? "" : "  ").append(part.text);
    return line;
  };
  const auto fits = [&](const std::string& line) { return first_columns(line, width).size() == line.size(); };
  std::string line = joined();
  while (!fits(line)) {
    const auto last = std::max_element(parts.rbegin(), parts.rend(),
                                       [](const StatusPart& a, const StatusPart& b) { return a.rank < b.rank; });
    if (last == parts.rend() || last->rank == 0) break;
    parts.erase(std::next(last).base());
    line = joined();
  }
  return line;
}

Progress::Progress(Terminal& terminal, Options options)
    : terminal_(terminal), options_(std::move(options)), clock_(options_.costs), watcher_([this] { watch(); }) {}

Progress::~Progress() {
  {
    const std::lock_guard lock(mutex_);
    done_ = true;
  }
  wake_.notify_all();
  watcher_.join();
  terminal_.status("");
}

void Progress::stage(std::string_view name) {
  const std::lock_guard lock(mutex_);
  stage_ = name;
  stage_began_ = last_line_ = Clock::now();
  const char* remark = options_.leaky && name == "search" ? " (LEAKY: protocol paper scores on test images)" : "";
  if (options_.show && (!terminal_.interactive() || *remark != '\0')) terminal_.line(stage_text(name) + remark);
  refresh();
}

void Progress::layer_started(int position, int count, const std::string& name, std::int64_t generations,
                             const Mailbox& mailbox) {
  const std::lock_guard lock(mutex_);
  current_ = {.position = position,
              .count = count,
              .name = name,
              .generations = generations,
              .mailbox = &mailbox,
              .first_images = mailbox.candidate_images.load(),
              .first_generation = mailbox.generation.load(),
              .first_best = mailbox.best.load(),
              .started = Clock::now()};
  clock_.layer_started(name, count - position - 1, mailbox.generation.load(), generations, seconds());
  refresh();
}

void Progress::layer_finished(int position, int count, const std::string& name, std::int64_t start_fitness,
                              std::int64_t best_fitness) {
  const std::lock_guard lock(mutex_);
  const std::string speed = rate(false);
  current_.mailbox = nullptr;
  clock_.layer_finished(seconds());
  last_line_ = Clock::now();
  if (!options_.show) return;
  terminal_.line(fmt::format("layer {}/{} {}: {}, {}, {}", position + 1, count, name,
                             gain_text(start_fitness, best_fitness), speed,
                             duration_text(std::chrono::duration<double>(Clock::now() - current_.started).count())));
}

void Progress::layer_abandoned() {
  const std::lock_guard lock(mutex_);
  current_.mailbox = nullptr;
}

void Progress::note(const std::string& sentence) {
  spdlog::info("note: {}", sentence);
}

std::string Progress::gain_text(std::int64_t start, std::int64_t best) const {
  if (!options_.by_channel) return best_text(start) + " -> " + best_text(best);
  const double share = start == 0 ? 0 : static_cast<double>(best - start) / std::abs(static_cast<double>(start));
  return fmt::format("objective {:+.2f} %", 100 * share);
}

std::string Progress::best_text(std::int64_t fitness) const {
  if (options_.by_channel) return gain_text(current_.first_best, fitness);
  return fitness_text(options_.fitness, fitness, options_.images) + (options_.leaky ? " (leaky)" : "");
}

std::string Progress::rate(bool brief) const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - current_.started).count();
  if (current_.mailbox == nullptr || elapsed <= 0) return brief ? "-/s" : "- candidates/s";
  const std::int64_t images = current_.mailbox->candidate_images.load() - current_.first_images;
  if (images > 0) {
    return fmt::format("{}{}/s", rate_text(static_cast<double>(images) / elapsed), brief ? "" : " candidate-images");
  }
  // Candidates that are scored without images.
  const std::int64_t candidates =
      (current_.mailbox->generation.load() - current_.first_generation) * options_.offspring;
  return fmt::format("{} {}/s", rate_text(static_cast<double>(candidates) / elapsed), brief ? "cand." : "candidates");
}

void Progress::watch() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kRefresh, [this] { return done_; })) {
    answer_signals();
    refresh();
  }
  answer_signals();
}

void Progress::answer_signals() {
  const int received = options_.signals != nullptr ? options_.signals->received() : 0;
  if (received == answered_) return;
  if (answered_ == 0) {
    spdlog::warn("interrupted: ending after the current step");
  } else {
    spdlog::warn("still ending; SIGKILL does it at once, at the cost of what is not saved yet");
  }
  answered_ = answered_ == 0 ? 1 : received;  // the hint follows the first answer even if both came at once
}

void Progress::refresh() {
  if (!options_.show) return;
  if (terminal_.interactive()) {
    terminal_.status(bar_line(terminal_.status_width()));
  } else if (current_.mailbox != nullptr && Clock::now() - last_line_ >= kPlainLineEvery) {
    terminal_.line(plain_line());
    last_line_ = Clock::now();
  }
}

std::string Progress::bar_line(std::size_t width) const {
  if (current_.mailbox == nullptr) {
    const double elapsed = std::chrono::duration<double>(Clock::now() - stage_began_).count();
    return stage_.empty() ? std::string() : fmt::format("[{:.0f} s] {}", elapsed, stage_text(stage_));
  }
  const std::int64_t generation = current_.mailbox->generation.load();
  const double share =
      current_.generations > 0 ? static_cast<double>(generation) / static_cast<double>(current_.generations) : 0;
  const auto left = clock_.remaining(generation, seconds());
  return fitting_line({{fmt::format("layer {}/{}", current_.position + 1, current_.count), 0},
                       {bar((current_.position + share) / std::max(current_.count, 1)), 5},
                       {fmt::format("gen {}/{}", generation, current_.generations), 0},
                       {best_text(current_.mailbox->best.load()), 3},
                       {rate(true), 2},
                       {"ETA " + (left ? duration_text(*left) : std::string("-")), 1},
                       {current_.name, 4}},
                      width);
}

std::string Progress::plain_line() const {
  const std::int64_t generation = current_.mailbox->generation.load();
  const auto left = clock_.remaining(generation, seconds());
  return fmt::format("layer {}/{} {}: generation {}/{}, best {}, {}, {} left", current_.position + 1, current_.count,
                     current_.name, generation, current_.generations, best_text(current_.mailbox->best.load()),
                     rate(false), left ? duration_text(*left) : std::string("unknown time"));
}

}  // namespace qnudge
