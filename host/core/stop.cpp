// SPDX-License-Identifier: MIT
#include "qnudge/core/stop.hpp"

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

thread_local const StopFlag* flag_of_thread = nullptr;

}  // namespace

StopScope::StopScope(const StopFlag* flag) : outer_(flag_of_thread) {
  flag_of_thread = flag;
}

StopScope::~StopScope() {
  flag_of_thread = outer_;
}

const StopFlag* StopScope::current() {
  return flag_of_thread;
}

void stop_point() {
  require(flag_of_thread == nullptr || !*flag_of_thread, ErrorKind::interrupted, "interrupted");
}

}  // namespace qnudge
