// SPDX-License-Identifier: MIT
#include "cuda_device.hpp"

#include <algorithm>
#include <new>

#include "check.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

Stream make_stream() {
  cudaStream_t stream = nullptr;
  QNUDGE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

Event make_event() {
  cudaEvent_t event = nullptr;
  QNUDGE_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / 1048576.0;
}

}  // namespace

/// One command on one stream.
struct CudaDevice::Enqueue {
  const CudaDevice& device;
  int index;
  cudaStream_t stream;

  void operator()(const RunConv& c) const { static_cast<const DeviceConv&>(*c.conv).enqueue(c.at, index, stream); }
  void operator()(const FillBytes& c) const { QNUDGE_CUDA_CHECK(cudaMemsetAsync(c.to, c.value, c.bytes, stream)); }
  void operator()(const CopyBytes& c) const {
    QNUDGE_CUDA_CHECK(cudaMemcpyAsync(c.to, c.from, c.bytes, cudaMemcpyDeviceToDevice, stream));
  }
  void operator()(const Fork& c) const { depend(0, c.stream, device.forked_[static_cast<std::size_t>(c.stream)]); }
  void operator()(const Join& c) const { depend(c.stream, 0, device.joined_[static_cast<std::size_t>(c.stream)]); }
  template <class Kernel>
  void operator()(const Kernel& c) const {
    launch(c, stream);
  }

 private:
  void depend(int first, int second, const Event& event) const {
    QNUDGE_CUDA_CHECK(cudaEventRecord(event.get(), device.stream(first)));
    QNUDGE_CUDA_CHECK(cudaStreamWaitEvent(device.stream(second), event.get(), 0));
  }
};

CudaDevice::CudaDevice(std::string description, int streams, std::unique_ptr<ConvPlanner> planner)
    : description_(std::move(description)), planner_(std::move(planner)) {
  for (int s = 0; s < streams; ++s) {
    streams_.push_back(make_stream());
    forked_.push_back(make_event());
    joined_.push_back(make_event());
  }
  for (Event& event : generations_) event = make_event();
}

std::size_t CudaDevice::free_bytes() const {
  std::size_t available = 0, total = 0;
  QNUDGE_CUDA_CHECK(cudaMemGetInfo(&available, &total));
  return available;
}

Memory CudaDevice::allocate(std::size_t bytes, const std::string& what) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    fail(ErrorKind::device,
         "device memory ran out: {} need {:.1f} MiB, {:.1f} MiB are free; lower search.chunk or the number of fitness "
         "images",
         what, mebibytes(bytes), mebibytes(free_bytes()));
  }
  check(status, "cudaMalloc");
  Memory memory(static_cast<std::byte*>(data), [](std::byte* p) { cudaFree(p); });
  QNUDGE_CUDA_CHECK(cudaMemsetAsync(data, 0, bytes, stream(0)));
  QNUDGE_CUDA_CHECK(cudaStreamSynchronize(stream(0)));
  return memory;
}

std::shared_ptr<Mailbox> CudaDevice::allocate_mailbox() {
  void* data = nullptr;
  QNUDGE_CUDA_CHECK(cudaHostAlloc(&data, sizeof(Mailbox), cudaHostAllocMapped | cudaHostAllocPortable));
  return {new (data) Mailbox, [](Mailbox* mailbox) {
            mailbox->~Mailbox();
            cudaFreeHost(mailbox);
          }};
}

void CudaDevice::upload(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  QNUDGE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream(0)));
  wait();
}

void CudaDevice::download(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) QNUDGE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream(0)));
  wait();
}

ConvHandle CudaDevice::prepare_conv(const ConvTask& task, int code_bits) {
  return planner_->prepare(task, code_bits);
}

void CudaDevice::run(const Program& program) {
  for (const Program::Step& step : program.steps) {
    std::visit(Enqueue{*this, step.stream, stream(step.stream)}, step.command);
  }
}

std::int32_t CudaDevice::repeat(const Program& program, std::int32_t times, const StopFlag& stop) {
  std::int32_t done = 0;
  for (; done < times && !stop; ++done) {
    // Two generations in flight keep the device busy and a stop request prompt.
    const Event& slot = generations_[static_cast<std::size_t>(done % 2)];
    if (done >= 2) QNUDGE_CUDA_CHECK(cudaEventSynchronize(slot.get()));
    run(program);
    QNUDGE_CUDA_CHECK(cudaEventRecord(slot.get(), stream(0)));
  }
  return done;
}

std::int64_t CudaDevice::sum(const std::int64_t* values, std::int64_t count) {
  return sum_of(values, count, stream(0));
}

void CudaDevice::wait() {
  const cudaError_t status = cudaStreamSynchronize(stream(0));
  if (status == cudaSuccess) return;
  cudaGetLastError();
  fail(ErrorKind::device,
       "the device stopped: {} ({}); the last checkpoint is intact, go on with --resume once the device answers again",
       cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace qnudge::cuda
