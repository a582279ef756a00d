// SPDX-License-Identifier: MIT
#include "recorded_search.hpp"

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

Program& RecordedSearch::recorded() const {
  require(recording_ != nullptr, ErrorKind::internal, "a search's operations belong into the body of repeat");
  return *recording_;
}

void RecordedSearch::repeat(std::int32_t limit, const StopFlag& stop, const std::function<void()>& body) {
  const std::int32_t times = log_.expect(limit);
  if (times <= 0) return;
  Program program;
  {
    struct Recording {
      Program*& slot;
      ~Recording() { slot = nullptr; }
    } recording{recording_};
    recording_ = &program;
    body();
  }
  log_.advance(device_.repeat(program, times, stop));
}

}  // namespace qnudge::cuda
