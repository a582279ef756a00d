// SPDX-License-Identifier: MIT
#include "onednn_convolution.hpp"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "qnudge/core/address_space.hpp"
#include "qnudge/core/aligned_buffer.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

dnnl::engine& engine() {
  static dnnl::engine cpu{dnnl::engine::kind::cpu, 0};
  return cpu;
}

/// Parallelism is over tiles and candidates; inside a primitive it would only break up small work.
class SingleThread {
 public:
  SingleThread() : before_(omp_get_max_threads()) {
    if (before_ != 1) omp_set_num_threads(1);
  }
  ~SingleThread() {
    if (before_ != 1) omp_set_num_threads(before_);
  }
  SingleThread(const SingleThread&) = delete;
  SingleThread& operator=(const SingleThread&) = delete;

 private:
  int before_;
};

void check(dnnl_status_t status, const char* what) {
  require(status == dnnl_success, ErrorKind::internal, "oneDNN failed to {}: status {}", what,
          static_cast<int>(status));
}

/// Extents in oneDNN's terms.
struct Dims {
  memory::dims src, weights, bias, dst, strides, dilates, pad_before, pad_after;
  Tag weights_tag = Tag::ohwi;

  explicit Dims(const ConvProblem& p) {
    const Window& w = p.conv.window;
    const std::int64_t groups = p.conv.groups;
    src = {p.n, p.in.c, p.in.h, p.in.w};
    dst = {p.n, p.out.c, p.out.h, p.out.w};
    weights = {p.filter.k, p.filter.c, p.filter.r, p.filter.s};
    if (groups != 1) {
      weights = {groups, p.filter.k / groups, p.filter.c, p.filter.r, p.filter.s};
      weights_tag = Tag::gohwi;
    }
    bias = {p.filter.k};
    strides = {w.stride_h, w.stride_w};
    dilates = {w.dilation_h - 1, w.dilation_w - 1};
    pad_before = {w.pad_top, w.pad_left};
    pad_after = {w.pad_bottom, w.pad_right};
  }
};

void append_eltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, beta);
#else
  ops.append_eltwise(1.0f, algorithm, alpha, beta);
#endif
}

/// 2.x multiplies acc + bias by its output scales; 3.x scales before the bias, so there the multipliers follow as a
/// binary post-op. Both round once per operation, as the contract writes.
dnnl::primitive_attr attributes(const OneDnnSpec& spec, const memory::desc& multipliers) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops ops;
#if DNNL_VERSION_MAJOR >= 3
  if (!spec.multipliers.empty()) ops.append_binary(dnnl::algorithm::binary_mul, multipliers);
#else
  (void)multipliers;
  constexpr int kPerOutputChannel = 1 << 1;
  if (!spec.multipliers.empty()) attr.set_output_scales(kPerOutputChannel, spec.multipliers);
#endif
  if (spec.relu) append_eltwise(ops, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
  if (spec.clip) append_eltwise(ops, dnnl::algorithm::eltwise_clip, spec.clip->first, spec.clip->second);
  attr.set_post_ops(ops);
  return attr;
}

dnnl::convolution_forward::primitive_desc describe(const OneDnnSpec& spec, const memory::desc& multipliers) {
  const Dims d(spec.problem);
  const memory::desc src(d.src, spec.src, Tag::nhwc), weights(d.weights, spec.weights, Tag::any);
  const memory::desc bias =
      spec.bias == OneDnnSpec::Type::undef ? memory::desc() : memory::desc(d.bias, spec.bias, Tag::x);
  const memory::desc dst(d.dst, spec.dst, Tag::nhwc);
  const auto kind = dnnl::prop_kind::forward_inference;
  const auto direct = dnnl::algorithm::convolution_direct;
  const dnnl::primitive_attr attr = attributes(spec, multipliers);
#if DNNL_VERSION_MAJOR >= 3
  return {engine(), kind, direct, src, weights, bias, dst, d.strides, d.dilates, d.pad_before, d.pad_after, attr, true};
#else
  const dnnl::convolution_forward::desc desc(kind, direct, src, weights, bias, dst, d.strides, d.dilates, d.pad_before,
                                             d.pad_after);
  return {desc, attr, engine(), true};
#endif
}

/// 2.x writes zeros into the padding of blocked weights whenever a handle is set: not into memory that threads share.
bool handle_writes_padding(const memory::desc& desc) {
#if DNNL_VERSION_MAJOR >= 3
  (void)desc;
  return false;
#else
  const auto* dims = desc.data.dims;
  return !std::equal(dims, dims + desc.data.ndims, desc.data.padded_dims);
#endif
}

memory without_buffer(const memory::desc& desc) {
  return memory(desc, engine(), DNNL_MEMORY_NONE);
}

void set_handle(const memory& m, const void* at) {
  check(dnnl_memory_set_data_handle(m.get(), const_cast<void*>(at)), "set a buffer");
}

}  // namespace

struct OneDnnConvolution::Call {
  dnnl::stream stream{engine()};
  memory src, weights, bias, dst, scratchpad, plain_weights, packed_weights, reorder_scratchpad;
  std::vector<dnnl_exec_arg_t> convolution_args, reorder_args;
};

std::unique_ptr<OneDnnConvolution> OneDnnConvolution::create(const OneDnnSpec& spec) {
  require_room_for_code();
  try {
    const SingleThread single;
    const memory::desc multipliers({1, spec.problem.filter.k, 1, 1}, memory::data_type::f32, Tag::nhwc);
    const auto pd = describe(spec, multipliers);
    if (!pd) return nullptr;
    std::unique_ptr<OneDnnConvolution> made(new OneDnnConvolution);
    made->prepare(spec, pd);
#if DNNL_VERSION_MAJOR >= 3
    if (!spec.multipliers.empty()) {
      made->multipliers_ = memory(multipliers, engine());
      std::copy(spec.multipliers.begin(), spec.multipliers.end(),
                static_cast<float*>(made->multipliers_.get_data_handle()));
    }
#endif
    return made;
  } catch (const dnnl::error& error) {
    if (error.status == dnnl_out_of_memory) throw std::bad_alloc();
    return nullptr;
  }
}

OneDnnConvolution::~OneDnnConvolution() = default;

void OneDnnConvolution::prepare(const OneDnnSpec& spec, const dnnl::convolution_forward::primitive_desc& pd) {
  const Dims d(spec.problem);
  implementation_ = pd.impl_info_str();
  convolution_ = dnnl::convolution_forward(pd);
  src_ = pd.src_desc();
  weights_ = pd.weights_desc();
  dst_ = pd.dst_desc();
  scratchpad_ = pd.scratchpad_desc();
  has_bias_ = spec.bias != OneDnnSpec::Type::undef;
  if (has_bias_) bias_ = pd.bias_desc();
  plain_weights_ = memory::desc(d.weights, spec.weights, d.weights_tag);
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::reorder::primitive_desc reorder(engine(), plain_weights_, engine(), weights_, attr);
  reorder_scratchpad_ = reorder.scratchpad_desc();
  reorder_ = dnnl::reorder(reorder);

  packed_bytes_ = AlignedBuffer::round_up(weights_.get_size());
  copy_weights_ = handle_writes_padding(weights_);
  weights_copy_offset_ = AlignedBuffer::round_up(scratchpad_.get_size());
  scratch_bytes_ = std::max(weights_copy_offset_ + (copy_weights_ ? packed_bytes_ : 0),
                            AlignedBuffer::round_up(reorder_scratchpad_.get_size()));
}

std::unique_ptr<OneDnnConvolution::Call> OneDnnConvolution::borrow() const {
  {
    const std::lock_guard lock(pool_mutex_);
    if (!pool_.empty()) {
      auto call = std::move(pool_.back());
      pool_.pop_back();
      return call;
    }
  }
  auto call = std::make_unique<Call>();
  const auto add = [](std::vector<dnnl_exec_arg_t>& args, int which, memory& slot, const memory::desc& desc) {
    if (desc.get_size() == 0) return;
    slot = without_buffer(desc);
    args.push_back({which, slot.get()});
  };
  add(call->convolution_args, DNNL_ARG_SRC, call->src, src_);
  add(call->convolution_args, DNNL_ARG_WEIGHTS, call->weights, weights_);
  if (has_bias_) add(call->convolution_args, DNNL_ARG_BIAS, call->bias, bias_);
  add(call->convolution_args, DNNL_ARG_DST, call->dst, dst_);
  add(call->convolution_args, DNNL_ARG_SCRATCHPAD, call->scratchpad, scratchpad_);
  if (multipliers_) {
    call->convolution_args.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, multipliers_.get()});
  }
  add(call->reorder_args, DNNL_ARG_FROM, call->plain_weights, plain_weights_);
  add(call->reorder_args, DNNL_ARG_TO, call->packed_weights, weights_);
  add(call->reorder_args, DNNL_ARG_SCRATCHPAD, call->reorder_scratchpad, reorder_scratchpad_);
  return call;
}

void OneDnnConvolution::give_back(std::unique_ptr<Call> call) const {
  const std::lock_guard lock(pool_mutex_);
  pool_.push_back(std::move(call));
}

void OneDnnConvolution::pack(const void* weights, std::byte* packed, std::byte* scratch) const {
  const SingleThread single;
  auto call = borrow();
  set_handle(call->plain_weights, weights);
  set_handle(call->packed_weights, packed);
  if (call->reorder_scratchpad) set_handle(call->reorder_scratchpad, scratch);
  check(dnnl_primitive_execute(reorder_.get(), call->stream.get(), static_cast<int>(call->reorder_args.size()),
                               call->reorder_args.data()),
        "pack a filter");
  check(dnnl_stream_wait(call->stream.get()), "pack a filter");
  give_back(std::move(call));
}

void OneDnnConvolution::run(const void* x, const std::byte* packed, const void* bias, void* y,
                            std::byte* scratch) const {
  if (!has_run_.exchange(true)) require_room_for_code();  // some implementations only now generate theirs
  const SingleThread single;
  auto call = borrow();
  if (copy_weights_) {
    std::byte* own = scratch + weights_copy_offset_;
    std::memcpy(own, packed, weights_.get_size());
    packed = own;
  }
  set_handle(call->src, x);
  set_handle(call->weights, packed);
  if (has_bias_) set_handle(call->bias, bias);
  set_handle(call->dst, y);
  if (call->scratchpad) set_handle(call->scratchpad, scratch);
  check(dnnl_primitive_execute(convolution_.get(), call->stream.get(), static_cast<int>(call->convolution_args.size()),
                               call->convolution_args.data()),
        "run a convolution");
  check(dnnl_stream_wait(call->stream.get()), "run a convolution");
  give_back(std::move(call));
}

void require_room_for_code() {
  constexpr std::size_t kRoom = std::size_t{32} << 20;  // kernels take less than 1 MiB; other threads some meanwhile
  require_address_space(kRoom, "generating oneDNN's code");
}

bool onednn_has_exact_s8() {
  using dnnl::cpu_isa;
  const cpu_isa isa = dnnl::get_effective_cpu_isa();
  return isa != cpu_isa::sse41 && isa != cpu_isa::avx && isa != cpu_isa::avx2 && isa != cpu_isa::avx512_core;
}

}  // namespace qnudge
