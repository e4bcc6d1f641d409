#include <cuda_bf16.h>

#include <algorithm>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/launch.cuh"
#include "model/convert.h"

namespace sgmv {
namespace {

constexpr int kThreads = 256;
constexpr size_t kPieceValues = size_t{16} << 20;

__device__ float to_f32(float value) { return value; }
__device__ float to_f32(__nv_bfloat16 value) { return __bfloat162float(value); }

// Grid: (values / kThreads).
template <typename T>
__global__ void convert_kernel(uint16_t* out, const T* values, size_t size) {
  const size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < size) out[i] = static_cast<uint16_t>(to_f16_pair(to_f32(values[i]), 0));
}

template <typename T>
void convert(uint16_t* out, const void* host, size_t size, cudaStream_t stream) {
  const DeviceBytes piece =
      allocate_device(std::min(size, kPieceValues) * sizeof(T), "the conversion of weights to f16");
  for (size_t first = 0; first < size; first += kPieceValues) {
    const size_t count = std::min(kPieceValues, size - first);
    CUDA_CHECK(cudaMemcpyAsync(piece.get(), static_cast<const T*>(host) + first, count * sizeof(T),
                               cudaMemcpyHostToDevice, stream));
    const auto num_blocks = static_cast<unsigned>((count + kThreads - 1) / kThreads);
    convert_kernel<<<num_blocks, kThreads, 0, stream>>>(
        out + first, reinterpret_cast<const T*>(piece.get()), count);
    CUDA_CHECK(cudaGetLastError());
  }
  CUDA_CHECK(cudaStreamSynchronize(stream));
}

constexpr const char* kPurpose = "the model's weights; take a smaller model";

DeviceArray<float> copy_values(std::span<const float> values, const Stream& stream) {
  DeviceArray<float> array(values.size(), kPurpose);
  CUDA_CHECK(cudaMemcpyAsync(array.data(), values.data(), values.size_bytes(),
                             cudaMemcpyHostToDevice, stream));
  stream.wait();
  return array;
}

}  // namespace

// Copies a matrix to the values from `first` on, as f16.
void CudaBackend::upload(DeviceArray<uint16_t>& to, size_t first, const HostMatrix& matrix) {
  const size_t size = static_cast<size_t>(matrix.num_rows) * matrix.num_cols;
  uint16_t* out = to.data() + first;
  switch (matrix.dtype) {
    case DType::kF16:
      CUDA_CHECK(cudaMemcpyAsync(out, matrix.data, size * sizeof(uint16_t), cudaMemcpyHostToDevice,
                                 stream_));
      stream_.wait();
      return;
    case DType::kBF16:
      return convert<__nv_bfloat16>(out, matrix.data, size, stream_);
    case DType::kF32:
      return convert<float>(out, matrix.data, size, stream_);
  }
}

std::unique_ptr<Weights> CudaBackend::load_linear(std::span<const HostMatrix> parts,
                                                  std::span<const float> bias) {
  auto linear = std::make_unique<CudaLinear>();
  linear->num_cols = parts[0].num_cols;
  for (const HostMatrix& part : parts) linear->num_rows += part.num_rows;
  linear->w = {static_cast<size_t>(linear->num_rows) * linear->num_cols, kPurpose};
  size_t first = 0;
  for (const HostMatrix& part : parts) {
    upload(linear->w, first, part);
    first += static_cast<size_t>(part.num_rows) * part.num_cols;
  }
  if (!bias.empty()) {
    linear->bias = copy_values(bias, stream_);
  }
  product_.add_weights(linear->w.data(), linear->num_rows, linear->num_cols);
  return linear;
}

std::unique_ptr<Weights> CudaBackend::load_embedding(const HostMatrix& table) {
  auto embedding = std::make_unique<CudaMatrix>();
  embedding->num_cols = table.num_cols;
  embedding->values = {static_cast<size_t>(table.num_rows) * table.num_cols, kPurpose};
  upload(embedding->values, 0, table);
  return embedding;
}

std::unique_ptr<Weights> CudaBackend::load_vector(std::span<const float> values) {
  auto vector = std::make_unique<CudaVector>();
  vector->values = copy_values(values, stream_);
  return vector;
}

void CudaBackend::load_rope(std::span<const float> cos, std::span<const float> sin) {
  rope_cos_ = copy_values(cos, stream_);
  rope_sin_ = copy_values(sin, stream_);
}

}  // namespace sgmv
