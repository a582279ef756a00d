// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "qnudge/cli/eta.hpp"
#include "qnudge/cli/signals.hpp"
#include "qnudge/cli/terminal.hpp"
#include "qnudge/search/tune.hpp"

namespace qnudge {

/// The parts of a status line, two blanks apart, that fit `width` columns together: parts are left out by falling
/// `rank`, later ones first, until the rest fits. What has rank 0 stays.
struct StatusPart {
  std::string text;
  int rank = 0;
};
std::string fitting_line(std::vector<StatusPart> parts, std::size_t width);

/// Shows a run while it works: on a terminal one line that is redrawn five times a second and
/// keeps what moves at any width, elsewhere plain lines for
/// every stage and layer and at most one in ten seconds between them. Also answers signals.
class Progress : public TuneObserver {
 public:
  struct Options {
    FitnessKind fitness = FitnessKind::top1;
    std::int64_t images = 0;              ///< in the fitness set
    std::int64_t offspring = 0;           ///< candidates of a generation
    bool by_channel = false;              ///< fitness is a squared error: only its change says something
    bool leaky = false;                   ///< protocol "paper"
    bool show = true;                     ///< false: notes only, through the log
    std::map<std::string, double> costs;  ///< see search_costs
    const StopSignals* signals = nullptr;
  };

  Progress(Terminal& terminal, Options options);
  ~Progress() override;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void stage(std::string_view name) override;
  void layer_started(int position, int count, const std::string& name, std::int64_t generations,
                     const Mailbox& mailbox) override;
  void layer_finished(int position, int count, const std::string& name, std::int64_t start_fitness,
                      std::int64_t best_fitness) override;
  void layer_abandoned() override;
  void note(const std::string& sentence) override;

 private:
  using Clock = std::chrono::steady_clock;

  /// A layer under search.
  struct Current {
    int position = 0, count = 0;
    std::string name;
    std::int64_t generations = 0;
    const Mailbox* mailbox = nullptr;  ///< nullptr: no layer is searched
    std::int64_t first_images = 0, first_generation = 0, first_best = 0;
    Clock::time_point started;
  };

  void watch();
  void refresh();  ///< holds mutex_
  void answer_signals();
  std::string bar_line(std::size_t width) const;  ///< holds mutex_
  std::string plain_line() const;                 ///< holds mutex_
  std::string best_text(std::int64_t fitness) const;
  std::string gain_text(std::int64_t start, std::int64_t best) const;
  double seconds() const { return std::chrono::duration<double>(Clock::now() - began_).count(); }
  std::string rate(bool brief) const;  ///< work done per second

  Terminal& terminal_;
  const Options options_;
  const Clock::time_point began_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  SearchClock clock_;
  std::string stage_;
  Clock::time_point stage_began_ = began_, last_line_ = began_;
  Current current_;
  int answered_ = 0;
  std::thread watcher_;
};

}  // namespace qnudge
