// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "qnudge/model/scalar_function.hpp"

namespace qnudge {

/// A function of each element that no node computes yet: element-wise operators behind each other, and branches that
/// meet again over the same tensor, become one.
struct Pending {
  ScalarFunction function;
  ChannelValues parameters;  ///< [parameter][channels of the node before it]
  std::string name;          ///< of the operator that came last

  friend bool operator==(const Pending& a, const Pending& b) {
    return a.function == b.function && a.parameters == b.parameters;
  }
};

}  // namespace qnudge
