// SPDX-License-Identifier: MIT
#pragma once

#include <dlfcn.h>

#include <string>

#include "qnudge/core/error.hpp"

namespace qnudge::cuda {

/// Functions of a library that is found at run time and stays loaded.
class Symbols {
 public:
  /// `file`: a name for the loader, or a path; `product`: what messages call it, as "cuDNN 9". Throws
  /// Error(kind device) if the library cannot be loaded.
  Symbols(std::string file, std::string product)
      : file_(std::move(file)), product_(std::move(product)), library_(dlopen(file_.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
    if (library_ != nullptr) return;
    const char* reason = dlerror();
    fail(ErrorKind::device, "{} cannot be loaded: {}", product_, reason != nullptr ? reason : file_);
  }

  /// Throws Error(kind device) if the library has no such function.
  template <class F>
  void find(F& function, const char* name) const {
    function = reinterpret_cast<F>(dlsym(library_, name));
    require(function != nullptr, ErrorKind::device, "{}: has no function {}; qnudge needs {}", file_, name, product_);
  }

 private:
  std::string file_, product_;
  void* library_;
};

}  // namespace qnudge::cuda
