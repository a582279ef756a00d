// SPDX-License-Identifier: MIT
#include "qnudge/search/tune.hpp"

#include "tune_run.hpp"

namespace qnudge {

TuneResult tune(const TuneRequest& request, TuneObserver& observer) {
  TuneRun run(request, observer);
  run.prepare();
  run.measure_start();
  run.rank();
  run.search();
  return run.finish();
}

Sensitivity analyse_sensitivity(const TuneRequest& request, TuneObserver& observer) {
  return TuneRun(request, observer).analyse();
}

}  // namespace qnudge
