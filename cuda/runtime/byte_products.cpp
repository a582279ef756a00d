// SPDX-License-Identifier: MIT
#include "byte_products.hpp"

#include <cublasLt.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <map>
#include <optional>
#include <tuple>

#include "check.hpp"
#include "cuda/cudnn/symbols.hpp"
#include "launch.hpp"

namespace qnudge::cuda {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

/// The functions of cuBLASLt that qnudge calls.
struct CublasLt {
  decltype(&::cublasLtCreate) create;
  decltype(&::cublasLtDestroy) destroy;
  decltype(&::cublasLtGetVersion) get_version;
  decltype(&::cublasLtGetStatusString) get_status_string;
  decltype(&::cublasLtMatmulDescCreate) desc_create;
  decltype(&::cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&::cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&::cublasLtMatrixLayoutCreate) layout_create;
  decltype(&::cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&::cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&::cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&::cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&::cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&::cublasLtMatmul) matmul;

  void check(cublasStatus_t status, const char* what) const {
    require(status == CUBLAS_STATUS_SUCCESS, ErrorKind::device, "cuBLASLt refuses {}: {}", what,
            get_status_string(status));
  }
};

CublasLt load_cublas_lt() {
  const Symbols symbols(fmt::format("libcublasLt.so.{}", CUBLAS_VER_MAJOR), fmt::format("cuBLAS {}", CUBLAS_VER_MAJOR));
  CublasLt api{};
  symbols.find(api.create, "cublasLtCreate");
  symbols.find(api.destroy, "cublasLtDestroy");
  symbols.find(api.get_version, "cublasLtGetVersion");
  symbols.find(api.get_status_string, "cublasLtGetStatusString");
  symbols.find(api.desc_create, "cublasLtMatmulDescCreate");
  symbols.find(api.desc_destroy, "cublasLtMatmulDescDestroy");
  symbols.find(api.desc_set, "cublasLtMatmulDescSetAttribute");
  symbols.find(api.layout_create, "cublasLtMatrixLayoutCreate");
  symbols.find(api.layout_destroy, "cublasLtMatrixLayoutDestroy");
  symbols.find(api.preference_create, "cublasLtMatmulPreferenceCreate");
  symbols.find(api.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  symbols.find(api.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  symbols.find(api.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  symbols.find(api.matmul, "cublasLtMatmul");
  return api;
}

template <class T>
using Owned = std::unique_ptr<T, cublasStatus_t (*)(T*)>;
using Layout = Owned<cublasLtMatrixLayoutOpaque_t>;

/// One shape of product with what the heuristics choose for it.
class ProductPlan {
 public:
  ProductPlan(const CublasLt& api, cublasLtHandle_t handle, const ByteProduct& p)
      : desc_(make_desc(api)),
        a_(layout(api, CUDA_R_8I, p.depth, p.m, p.stride)),
        b_(layout(api, CUDA_R_8I, p.depth, p.n, p.stride)),
        to_(layout(api, CUDA_R_32I, p.m, p.n, p.m)) {
    const Preference preference = make_preference(api);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status = api.heuristic(handle, desc_.get(), a_.get(), b_.get(), to_.get(), to_.get(),
                                                preference.get(), 1, &found, &count);
    if (status == CUBLAS_STATUS_SUCCESS && count > 0) algorithm_ = found.algo;
  }

  bool usable() const { return algorithm_.has_value(); }
  /// Whether cuBLASLt has taken it. If not, this plan is of no more use.
  bool run(const CublasLt& api, cublasLtHandle_t handle, const ByteProduct& p, void* workspace, cudaStream_t stream) {
    const std::int32_t one = 1, zero = 0;
    const cublasStatus_t status =
        api.matmul(handle, desc_.get(), &one, p.a, a_.get(), p.b, b_.get(), &zero, p.to, to_.get(), p.to, to_.get(),
                   &*algorithm_, workspace, kWorkspaceBytes, stream);
    if (status == CUBLAS_STATUS_SUCCESS) return true;
    spdlog::warn("product of bytes {} x {} over {}: the plain kernel runs it, cuBLASLt refuses: {}", p.m, p.n, p.depth,
                 api.get_status_string(status));
    algorithm_.reset();
    return false;
  }

 private:
  using Desc = Owned<cublasLtMatmulDescOpaque_t>;
  using Preference = Owned<cublasLtMatmulPreferenceOpaque_t>;

  /// Algorithms must do with our workspace and with operands as aligned as products promise: left unsaid, cuBLASLt
  /// counts on 256 bytes.
  static Preference make_preference(const CublasLt& api) {
    cublasLtMatmulPreference_t made = nullptr;
    api.check(api.preference_create(&made), "a preference");
    Preference preference(made, api.preference_destroy);
    api.check(
        api.preference_set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &kWorkspaceBytes, sizeof kWorkspaceBytes),
        "a workspace");
    for (const auto name : {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
                            CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
      api.check(api.preference_set(made, name, &ByteProduct::kAlignment, sizeof ByteProduct::kAlignment),
                "an alignment");
    }
    return preference;
  }

  static Desc make_desc(const CublasLt& api) {
    cublasLtMatmulDesc_t made = nullptr;
    api.check(api.desc_create(&made, CUBLAS_COMPUTE_32I, CUDA_R_32I), "an integer product");
    Desc desc(made, api.desc_destroy);
    // Seen column by column, lines are columns: a' * b, the one form that the integer engines know.
    const cublasOperation_t transposed = CUBLAS_OP_T;
    api.check(api.desc_set(made, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed), "a transposition");
    return desc;
  }
  static Layout layout(const CublasLt& api, cudaDataType type, std::int64_t rows, std::int64_t columns,
                       std::int64_t stride) {
    cublasLtMatrixLayout_t made = nullptr;
    api.check(
        api.layout_create(&made, type, static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns), stride),
        "a matrix");
    return {made, api.layout_destroy};
  }

  Desc desc_;
  Layout a_, b_, to_;
  std::optional<cublasLtMatmulAlgo_t> algorithm_;
};

class CublasProducts : public ByteProducts {
 public:
  CublasProducts() : api_(load_cublas_lt()) {
    api_.check(api_.create(&handle_), "a handle");
    const cudaError_t status = cudaMalloc(&workspace_, kWorkspaceBytes);
    if (status != cudaSuccess) api_.destroy(handle_);
    check(status, "cudaMalloc");
  }
  CublasProducts(const CublasProducts&) = delete;
  CublasProducts& operator=(const CublasProducts&) = delete;
  ~CublasProducts() override {
    plans_.clear();
    cudaFree(workspace_);
    api_.destroy(handle_);
  }

  std::string description() const override {
    const std::size_t version = api_.get_version();
    return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
  }
  void enqueue(const ByteProduct& p, cudaStream_t stream) override {
    ProductPlan& plan = plan_for(p);
    if (plan.usable() && plan.run(api_, handle_, p, workspace_, stream)) return;
    launch(p.plain(), p.m * p.n, stream);
  }

 private:
  ProductPlan& plan_for(const ByteProduct& p) {
    const auto [at, added] = plans_.try_emplace(std::tuple(p.m, p.n, p.depth, p.stride), api_, handle_, p);
    if (added) {
      spdlog::debug("product of bytes {} x {} over {}: {}", p.m, p.n, p.depth,
                    at->second.usable() ? description() : "plain kernel, cuBLASLt has no algorithm for it");
    }
    return at->second;
  }

  const CublasLt api_;
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>, ProductPlan> plans_;
};

class PlainProducts : public ByteProducts {
 public:
  explicit PlainProducts(std::string reason) : reason_(std::move(reason)) {}
  void enqueue(const ByteProduct& p, cudaStream_t stream) override { launch(p.plain(), p.m * p.n, stream); }
  std::string description() const override { return reason_; }

 private:
  std::string reason_;
};

}  // namespace

std::unique_ptr<ByteProducts> make_byte_products() {
  try {
    return std::make_unique<CublasProducts>();
  } catch (const Error& e) {
    spdlog::info("products of bytes run in the plain kernel, which is slow: {}", e.what());
    return std::make_unique<PlainProducts>(e.what());
  }
}

}  // namespace qnudge::cuda
