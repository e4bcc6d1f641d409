#include "backend/cuda/cuda_backend.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "backend/cuda/graph_rows.h"

namespace sgmv {
namespace {

constexpr int kMinMajor = 8;  // sm_80: larger tensor core tiles, asynchronous copies

// Sets the device of this thread and says what it is. Throws if it is none that the kernels run on.
std::string open_device(int id) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) {
    throw std::runtime_error(std::string("no GPU can be used: ") + cudaGetErrorString(code));
  }
  if (id < 0 || id >= count) {
    throw std::runtime_error("device is " + std::to_string(id) + "; there are " +
                             std::to_string(count) + " GPUs");
  }
  CUDA_CHECK(cudaSetDevice(id));
  cudaDeviceProp properties;
  CUDA_CHECK(cudaGetDeviceProperties(&properties, id));
  const std::string name = std::string(properties.name) + ", sm_" +
                           std::to_string(properties.major) + std::to_string(properties.minor);
  if (properties.major < kMinMajor) {
    throw std::runtime_error(name + " is too old: compute capability 8.0 or later is needed");
  }
  return name;
}

// What the projections and the embedding take at least, in f16. Said before the first is loaded,
// so that the message can say how much there should have been.
void check_weights_fit(const ModelShape& shape, const DeviceInfo& device) {
  const double q = double{1} * shape.num_heads * shape.head_dim;
  const double kv = double{1} * shape.num_kv_heads * shape.head_dim;
  const double layer = shape.hidden_size * (2 * q + 2 * kv + 3.0 * shape.intermediate_size);
  const double values = layer * shape.num_layers + double{1} * shape.vocab_size * shape.hidden_size;
  const double num_bytes = values * sizeof(uint16_t);
  if (num_bytes <= static_cast<double>(device.free_bytes)) return;
  throw DeviceMemoryFull("The model's weights take at least " + megabytes(size_t(num_bytes)) +
                         " and the GPU has " + megabytes(device.free_bytes) + " of " +
                         megabytes(device.total_bytes) +
                         " left; free the GPU, or take a smaller model.");
}

Matrix allocate_matrix(DeviceMemory& owner, int num_rows, int num_cols, size_t element_bytes,
                       const Stream& stream) {
  // Graphs have a few rows more than their batch.
  const size_t padded = graph_rows_for(num_rows);
  const size_t num_bytes = std::max<size_t>(padded * num_cols * element_bytes, 1);
  DeviceBytes memory = allocate_device(num_bytes, "activations; lower maxStepTokens");
  CUDA_CHECK(cudaMemsetAsync(memory.get(), 0, num_bytes, stream));
  stream.wait();
  owner = DeviceMemory(memory.release(), [](void* bytes) { cudaFree(bytes); });
  return {owner.get(), num_rows, num_cols, num_cols};
}

void check_multiple(const char* what, int value, int of) {
  if (value % of == 0) return;
  throw std::runtime_error(std::string(what) + " is " + std::to_string(value) +
                           "; on a GPU it must be a multiple of " + std::to_string(of));
}

}  // namespace

CudaBackend::CudaBackend(const CudaOptions& options)
    : options_(options),
      name_(open_device(options.device)),
      product_(options.cublas_lt, options.same_bits, stream_) {
  check_code(name_);
}

CudaBackend::~CudaBackend() { cudaStreamSynchronize(stream_); }

std::string CudaBackend::describe() const {
  const size_t version = product_.version();
  return "CUDA, " + name_ + ", f16, cuBLASLt " + std::to_string(version / 10000) + "." +
         std::to_string(version / 100 % 100);
}

void CudaBackend::set_shape(const ModelShape& shape) {
  check_multiple("hidden_size", shape.hidden_size, 8);
  check_multiple("num_heads * head_dim", shape.num_heads * shape.head_dim, 8);
  check_multiple("num_kv_heads * head_dim", shape.num_kv_heads * shape.head_dim, 8);
  check_multiple("intermediate_size", shape.intermediate_size, 8);
  check_multiple("head_dim", shape.head_dim, 4);
  if (shape.head_dim > kMaxHeadDim || shape.hidden_size > kMaxNormCols) {
    throw std::runtime_error("on a GPU head_dim may be at most " + std::to_string(kMaxHeadDim) +
                             " and hidden_size at most " + std::to_string(kMaxNormCols));
  }
  check_weights_fit(shape, device());
  shape_ = shape;
  groups_ = sgmv_groups(shape);
}

Matrix CudaBackend::allocate(DeviceMemory& owner, int num_rows, int num_cols) {
  return allocate_matrix(owner, num_rows, num_cols, sizeof(float), stream_);
}

Matrix CudaBackend::allocate_operands(DeviceMemory& owner, int num_rows, int num_cols,
                                      OperandRange range) {
  Matrix matrix = allocate_matrix(owner, num_rows, num_cols, sizeof(uint16_t), stream_);
  if (range == OperandRange::kProduct) matrix.scale = kProductScale;
  return matrix;
}

size_t CudaBackend::page_bytes() const {
  // A multiple of 128, as adapters in the pool need it.
  const size_t num_bytes = size_t{2} * shape_.num_layers * shape_.num_kv_heads * shape_.page_size *
                           kv_stride(shape_.head_dim) * sizeof(uint16_t);
  return (num_bytes + 127) / 128 * 128;
}

void CudaBackend::reserve_pool(int num_slots) {
  if (int64_t{num_slots} * shape_.page_size > std::numeric_limits<int32_t>::max()) {
    throw std::runtime_error("a pool may hold at most 2^31 tokens");
  }
  pool_ = allocate_device(num_slots * page_bytes(),
                          "the pool of KV pages and adapters; lower poolBytes");
}

KvLayout CudaBackend::kv_layout() const {
  return {pool_.get(), page_bytes(), shape_.num_kv_heads, shape_.page_size,
          kv_stride(shape_.head_dim)};
}

void CudaBackend::read_logits(std::span<float> out) {
  const size_t size = static_cast<size_t>(num_logits_rows_) * shape_.vocab_size;
  if (out.size() != size) {
    throw std::invalid_argument("read_logits: room for " + std::to_string(out.size()) +
                                " values, the last step made " + std::to_string(size));
  }
  CUDA_CHECK(cudaMemcpy(out.data(), logits_.data(), size * sizeof(float), cudaMemcpyDeviceToHost));
}

}  // namespace sgmv
