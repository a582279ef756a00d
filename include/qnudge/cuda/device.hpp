// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "qnudge/backend/graph_usage.hpp"
#include "qnudge/cuda/commands.hpp"

namespace qnudge::cuda {

/// What every allocation is aligned to, and what cuDNN's engines like best for a tensor.
constexpr std::size_t kAlignment = 256;
constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// A range of device memory, freed with its last owner.
using Memory = std::shared_ptr<std::byte>;

/// A convolution to be prepared for weights of so many bits.
struct ConvRequest {
  ConvTask task;
  int code_bits = 8;
};

/// Where programs run. Everything but `run`, which only enqueues, may wait for the device.
class Device {
 public:
  virtual ~Device() = default;

  virtual std::string description() const = 0;  ///< for reports: name, versions
  virtual std::size_t free_bytes() const = 0;
  virtual int streams() const = 0;  ///< usable by programs, at least 1

  /// Zero-filled, aligned to kAlignment; never null. Throws Error(kind device) naming `what` when memory runs out.
  virtual Memory allocate(std::size_t bytes, const std::string& what) = 0;
  /// A mailbox that programs write and the host may read at any time.
  virtual std::shared_ptr<Mailbox> allocate_mailbox() = 0;
  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
  /// Waits for everything enqueued before.
  virtual void download(void* to, const void* from, std::size_t bytes) = 0;

  /// `code_bits`: of the weights, the bound that lets a half-precision plan be exact. Never fails for a task that the
  /// network's import allows: the plain kernel serves where no vendor engine does.
  virtual ConvHandle prepare_conv(const ConvTask& task, int code_bits) = 0;
  /// Prepares all of these, side by side where that saves time; `prepare_conv` then has them at hand. Throws what
  /// `prepare_conv` would throw for one of them, when it is done with the others.
  virtual void prepare_convs(std::span<const ConvRequest> requests) = 0;

  virtual void run(const Program& program) = 0;
  /// Runs `program` `times` times and waits; before each, gives up if `stop` is set. Returns how often it ran.
  virtual std::int32_t repeat(const Program& program, std::int32_t times, const StopFlag& stop) = 0;
  /// What all these calls were: one graph each, or not, and why.
  virtual GraphUsage graph_usage() const = 0;
  /// Sum of `count` integers, after everything enqueued before.
  virtual std::int64_t sum(const std::int64_t* values, std::int64_t count) = 0;
  /// A span that profilers show under `name`, until what is returned is dropped.
  virtual std::shared_ptr<void> annotate(const std::string& name) = 0;
  /// Waits for everything enqueued before; throws Error(kind device) if the device reports that something failed.
  virtual void wait() = 0;
};

/// Memory for `count` objects.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  DeviceArray(Device& device, std::size_t count, const std::string& what)
      : device_(&device), count_(count), memory_(device.allocate(count * sizeof(T), what)) {}
  DeviceArray(Device& device, std::span<const T> values, const std::string& what)
      : DeviceArray(device, values.size(), what) {
    set(values);
  }

  T* data() const { return reinterpret_cast<T*>(memory_.get()); }
  std::size_t size() const { return count_; }
  void set(std::span<const T> values, std::size_t at = 0) const {
    device_->upload(data() + at, values.data(), values.size_bytes());
  }
  std::vector<T> get() const {
    std::vector<T> values(count_);
    device_->download(values.data(), data(), count_ * sizeof(T));
    return values;
  }

 private:
  Device* device_ = nullptr;
  std::size_t count_ = 0;
  Memory memory_;
};

}  // namespace qnudge::cuda
