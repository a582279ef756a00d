// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <dnnl.hpp>

#include "qnudge/cpu/conv_kernel.hpp"

namespace qnudge {

/// One oneDNN convolution: y = clip(multipliers[k] * (sum x * w + bias[k])).
struct OneDnnSpec {
  using Type = dnnl::memory::data_type;
  ConvProblem problem;  ///< spread 1, no negative padding; only its geometry is read
  Type src = Type::f32, weights = Type::f32, bias = Type::undef, dst = Type::f32;  ///< undef: without bias
  std::vector<float> multipliers;                                                  ///< [K]; empty: all 1
  bool relu = false;                                                               ///< max(0, .)
  std::optional<std::pair<float, float>> clip;                                     ///< bounds in units of y
};

/// A primitive of oneDNN 2.x or 3.x; the only code that knows their difference. Single-threaded within the calling
/// thread, callable from several threads at once: every call brings its own scratch buffer (library-owned scratchpads
/// give silently wrong results when threads share a primitive) and borrows a set of memory objects from a pool.
class OneDnnConvolution {
 public:
  /// nullptr where oneDNN has no such primitive. Throws Error(kind device) where memory is short, as `run` does.
  static std::unique_ptr<OneDnnConvolution> create(const OneDnnSpec& spec);
  ~OneDnnConvolution();

  std::string implementation() const { return implementation_; }  ///< e.g. "brgconv:avx512_core_amx_int8"
  std::size_t packed_bytes() const { return packed_bytes_; }      ///< multiple of 64
  std::size_t scratch_bytes() const { return scratch_bytes_; }    ///< multiple of 64

  /// weights: [K, R, S, C / groups] of the spec's type; `packed` and `scratch` are 64-byte aligned.
  void pack(const void* weights, std::byte* packed, std::byte* scratch) const;
  void run(const void* x, const std::byte* packed, const void* bias, void* y, std::byte* scratch) const;

 private:
  struct Call;  // memory objects of one thread's call
  OneDnnConvolution() = default;
  void prepare(const OneDnnSpec& spec, const dnnl::convolution_forward::primitive_desc& pd);
  std::unique_ptr<Call> borrow() const;
  void give_back(std::unique_ptr<Call> call) const;

  std::string implementation_;
  std::size_t packed_bytes_ = 0, scratch_bytes_ = 0;
  std::size_t weights_copy_offset_ = 0;  // into scratch
  bool copy_weights_ = false;
  dnnl::convolution_forward convolution_;
  dnnl::reorder reorder_;
  dnnl::memory::desc src_, plain_weights_, weights_, bias_, dst_, scratchpad_, reorder_scratchpad_;
  bool has_bias_ = false;
  dnnl::memory multipliers_;  // 3.x: operand of the multiplication after the bias
  mutable std::atomic<bool> has_run_{false};
  mutable std::mutex pool_mutex_;
  mutable std::vector<std::unique_ptr<Call>> pool_;
};

/// Before anything that lets oneDNN generate code: it writes on where it got no memory for that. Throws Error(kind
/// device).
void require_room_for_code();

/// True where u8 and s8 inputs multiply s8 weights without the 16-bit saturation of older instruction sets.
bool onednn_has_exact_s8();

}  // namespace qnudge
