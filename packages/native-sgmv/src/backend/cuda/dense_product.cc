#include "backend/cuda/dense_product.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "backend/cuda/cuda_check.h"
#include "backend/cuda/stream.h"

namespace sgmv {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr int kMaxCandidates = 64;
constexpr int kTimedRuns = 6;
constexpr int kRepeats = 2;

// Numbers of rows that share a kernel: up to 1, 2, 4, 8, ...
int bucket_of(int num_rows) {
  int bucket = 1;
  while (bucket < num_rows) bucket *= 2;
  return bucket;
}

}  // namespace

// The descriptors of one product. To cuBLASLt, whose matrices are column-major, it is
// y^T = w x^T.
class DenseProduct::Call {
 public:
  Call(const CublasLt& lt, const Product& p) : lt_(lt) {
    check_cublas(lt.create_desc(&desc, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    const cublasOperation_t transposed = CUBLAS_OP_T;
    set(CUBLASLT_MATMUL_DESC_TRANSA, transposed);
    if (p.bias != nullptr) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    }
    w = layout(CUDA_R_16F, p.num_inputs, p.num_outputs, p.num_inputs);
    x = layout(CUDA_R_16F, p.num_inputs, p.num_rows, p.x_stride);
    y = layout(CUDA_R_32F, p.num_outputs, p.num_rows, p.y_stride);
  }
  ~Call() {
    lt_.destroy_layout(y);
    lt_.destroy_layout(x);
    lt_.destroy_layout(w);
    lt_.destroy_desc(desc);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  cublasLtMatmulDesc_t desc = nullptr;
  cublasLtMatrixLayout_t w = nullptr, x = nullptr, y = nullptr;

 private:
  template <typename T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    check_cublas(lt_.set_desc(desc, attribute, &value, sizeof(value)),
                 "cublasLtMatmulDescSetAttribute");
  }
  cublasLtMatrixLayout_t layout(cudaDataType_t type, int num_rows, int num_cols, int stride) {
    cublasLtMatrixLayout_t result = nullptr;
    check_cublas(lt_.create_layout(&result, type, num_rows, num_cols, stride),
                 "cublasLtMatrixLayoutCreate");
    return result;
  }

  const CublasLt& lt_;
};

DenseProduct::DenseProduct(const std::string& library_path, bool same_bits, cudaStream_t stream)
    : lt_(library_path), same_bits_(same_bits), stream_(stream) {
  check_cublas(lt_.create(&handle_), "cublasLtCreate");
  workspace_ = allocate_device(kWorkspaceBytes, "the scratch of dense products");
  check_cublas(lt_.create_preference(&preference_), "cublasLtMatmulPreferenceCreate");
  check_cublas(lt_.set_preference(preference_, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                  &kWorkspaceBytes, sizeof(kWorkspaceBytes)),
               "cublasLtMatmulPreferenceSetAttribute");
}

DenseProduct::~DenseProduct() {
  lt_.destroy_preference(preference_);
  lt_.destroy(handle_);
}

void DenseProduct::add_weights(const void* w, int num_outputs, int num_inputs) {
  weights_[{num_outputs, num_inputs}].push_back(w);
}

bool DenseProduct::run(const Product& p) {
  if (!skinny_.is_supported()) {
    run_library(p);
    return false;
  }
  if (p.num_rows <= kMaxSkinnyRows) {
    skinny_.run(p, stream_);
    return p.next_reads_x;
  }
  if (choice_for(p).agrees) {
    run_library(p);
  } else {
    run_in_parts(p);
  }
  return false;
}

void DenseProduct::run_in_parts(const Product& p) const {
  for (int first = 0; first < p.num_rows; first += kMaxSkinnyRows) {
    Product part = p;
    part.num_rows = std::min(kMaxSkinnyRows, p.num_rows - first);
    part.x = static_cast<const uint16_t*>(p.x) + int64_t{first} * p.x_stride;
    part.y = p.y + int64_t{first} * p.y_stride;
    part.next_reads_x = false;
    skinny_.run(part, stream_);
  }
}

const DenseProduct::Algo& DenseProduct::choice_for(const Product& p) {
  return choose(p, choices_[{p.num_outputs, p.num_inputs, p.bias != nullptr, p.scale}]);
}

bool DenseProduct::run_library(const Product& p) {
  const Algo& algo = choice_for(p);
  if (!multiply(p, algo.algo)) {
    throw std::runtime_error(
        "cublasLtMatmul failed for a product of " + std::to_string(p.num_rows) + " rows, " +
        std::to_string(p.num_outputs) + " outputs and " + std::to_string(p.num_inputs) + " inputs");
  }
  return algo.agrees;
}

bool DenseProduct::multiply(const Product& p, const cublasLtMatmulAlgo_t& algo) {
  const Call call(lt_, p);
  const float zero = 0;
  const cublasStatus_t status =
      lt_.matmul(handle_, call.desc, &p.scale, p.w, call.w, p.x, call.x, &zero, p.y, call.y, p.y,
                 call.y, &algo, workspace_.get(), kWorkspaceBytes, stream_);
  return status == CUBLAS_STATUS_SUCCESS;
}

// The outputs of the first rows that a kernel should give bit for bit; none if any will do.
std::vector<float> DenseProduct::expected_output(const Product& p, const Choice& choice) {
  if (!same_bits_) return {};
  if (skinny_.is_supported()) {
    Product first = p;
    first.num_rows = std::min(p.num_rows, kMaxSkinnyRows);
    skinny_.run(first, stream_);
    return read_output(p);
  }
  if (!choice.reference.found || !multiply(p, choice.reference.algo)) return {};
  return read_output(p);
}

const DenseProduct::Algo& DenseProduct::choose(const Product& p, Choice& choice) {
  Algo& chosen = choice.by_bucket[bucket_of(p.num_rows)];
  if (chosen.found) return chosen;

  const std::vector<float> expected = expected_output(p, choice);
  float best_ms = std::numeric_limits<float>::infinity();
  bool best_agrees = false;
  for (const cublasLtMatmulAlgo_t& algo : candidates(p)) {
    if (!multiply(p, algo)) continue;
    const bool agrees = expected.empty() || read_output(p) == expected;
    if (agrees < best_agrees) continue;
    const float ms = measure(p, algo);
    if (agrees == best_agrees && ms >= best_ms) continue;
    best_ms = ms;
    best_agrees = agrees;
    chosen = {algo, true, agrees};
  }
  if (!chosen.found) {
    throw std::runtime_error("cuBLASLt has no kernel for a product of " +
                             std::to_string(p.num_outputs) + " outputs and " +
                             std::to_string(p.num_inputs) + " inputs");
  }
  if (!choice.reference.found) choice.reference = chosen;
  return chosen;
}

std::vector<cublasLtMatmulAlgo_t> DenseProduct::candidates(const Product& p) {
  const Call call(lt_, p);
  cublasLtMatmulHeuristicResult_t results[kMaxCandidates];
  int count = 0;
  const cublasStatus_t status =
      lt_.get_heuristic(handle_, call.desc, call.w, call.x, call.y, call.y, preference_,
                        kMaxCandidates, results, &count);
  std::vector<cublasLtMatmulAlgo_t> algos;
  if (status != CUBLAS_STATUS_SUCCESS) return algos;
  for (int i = 0; i < count; ++i) {
    if (results[i].state == CUBLAS_STATUS_SUCCESS) algos.push_back(results[i].algo);
  }
  return algos;
}

// Rows of y that are enough to tell two kernels apart.
std::vector<float> DenseProduct::read_output(const Product& p) const {
  const int num_rows = std::min(p.num_rows, kMaxSkinnyRows);
  const size_t width = p.num_outputs * sizeof(float);
  std::vector<float> out(static_cast<size_t>(p.num_outputs) * num_rows);
  CUDA_CHECK(cudaMemcpy2DAsync(out.data(), width, p.y, p.y_stride * sizeof(float), width, num_rows,
                               cudaMemcpyDeviceToHost, stream_));
  CUDA_CHECK(cudaStreamSynchronize(stream_));
  return out;
}

// Milliseconds of one product, on weights of several layers in turn.
float DenseProduct::measure(const Product& product, const cublasLtMatmulAlgo_t& algo) {
  const std::vector<const void*>& weights = weights_[{product.num_outputs, product.num_inputs}];
  const Event begin, end;
  float best_ms = std::numeric_limits<float>::infinity();
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    begin.record(stream_);
    for (int i = 0; i < kTimedRuns; ++i) {
      Product p = product;
      if (!weights.empty()) p.w = weights[i % weights.size()];
      multiply(p, algo);
    }
    end.record(stream_);
    best_ms = std::min(best_ms, end.milliseconds_since(begin) / kTimedRuns);
  }
  return best_ms;
}

}  // namespace sgmv
