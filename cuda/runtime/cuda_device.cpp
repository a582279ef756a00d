// SPDX-License-Identifier: MIT
#include "cuda_device.hpp"

#include <algorithm>
#include <new>

#include "check.hpp"
#include "generation_graph.hpp"
#include "launch.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge::cuda {
namespace {

double mebibytes(std::size_t bytes) {
  return static_cast<double>(bytes) / 1048576.0;
}

}  // namespace

CudaDevice::CudaDevice(std::string description, const CudaOptions& options, std::unique_ptr<ConvPlanner> planner)
    : description_(std::move(description)),
      runner_(options.streams),
      planner_(std::move(planner)),
      launches_(
          options.graphs,
          [this](const Program& program, std::int32_t times) {
            return std::make_unique<GenerationGraph>(runner_, program, times);
          },
          [this](const Program& program, std::int32_t times, const StopFlag& stop) {
            return repeat_eagerly(program, times, stop);
          }) {
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
  QNUDGE_CUDA_CHECK(cudaMemsetAsync(data, 0, bytes, runner_.main_stream()));
  QNUDGE_CUDA_CHECK(cudaStreamSynchronize(runner_.main_stream()));
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
  QNUDGE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, runner_.main_stream()));
  wait();
}

void CudaDevice::download(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) QNUDGE_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, runner_.main_stream()));
  wait();
}

ConvHandle CudaDevice::prepare_conv(const ConvTask& task, int code_bits) {
  return planner_->prepare(task, code_bits);
}

std::int32_t CudaDevice::repeat_eagerly(const Program& program, std::int32_t times, const StopFlag& stop) {
  std::int32_t done = 0;
  for (; done < times && !stop; ++done) {
    // Two generations in flight keep the device busy and a stop request prompt.
    const Event& slot = generations_[static_cast<std::size_t>(done % 2)];
    if (done >= 2) check_stopped(cudaEventSynchronize(slot.get()));
    run(program);
    QNUDGE_CUDA_CHECK(cudaEventRecord(slot.get(), runner_.main_stream()));
  }
  wait();
  return done;
}

std::int64_t CudaDevice::sum(const std::int64_t* values, std::int64_t count) {
  return sum_of(values, count, runner_.main_stream());
}

void CudaDevice::wait() {
  check_stopped(cudaStreamSynchronize(runner_.main_stream()));
}

}  // namespace qnudge::cuda
