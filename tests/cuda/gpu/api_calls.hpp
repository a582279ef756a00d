// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace qnudge::cuda::test {

/// Names of the CUDA runtime functions that this process calls while it lives, in order, as CUPTI reports them.
class ApiCalls {
 public:
  /// Nothing, with the reason in `problem`, where CUPTI cannot be had.
  static std::unique_ptr<ApiCalls> begin(std::string& problem);
  virtual ~ApiCalls() = default;
  virtual std::vector<std::string> names() const = 0;
};

}  // namespace qnudge::cuda::test
