// SPDX-License-Identifier: MIT
#include "qnudge/search/tune.hpp"

#include "qnudge/core/error.hpp"
#include "tune_run.hpp"

namespace qnudge {
namespace {

/// What `work` does with a run; asked to stop, it ends with `leave`, which says what is kept.
template <class Work>
auto stoppable(const TuneRequest& request, TuneObserver& observer, void (TuneRun::*leave)() const, const Work& work) {
  const StopScope scope(request.stop);
  TuneRun run(request, observer);
  try {
    return work(run);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::interrupted) (run.*leave)();
    throw;
  }
}

}  // namespace

TuneResult tune(const TuneRequest& request, TuneObserver& observer) {
  return stoppable(request, observer, &TuneRun::leave_interrupted, [](TuneRun& run) {
    run.prepare();
    run.measure_start();
    run.rank();
    run.search();
    return run.finish();
  });
}

Sensitivity analyse_sensitivity(const TuneRequest& request, TuneObserver& observer) {
  return stoppable(request, observer, &TuneRun::leave_analysis, [](TuneRun& run) { return run.analyse(); });
}

}  // namespace qnudge
