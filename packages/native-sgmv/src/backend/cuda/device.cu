#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/stream.h"

namespace sgmv {
namespace {

constexpr size_t kReadBytes = size_t{1} << 30;  // many times any L2
constexpr int kThreads = 512;
constexpr int kBlocksPerSm = 4;

// Reads 16 bytes a thread and turn. Grid: (blocks that fit on the card at once).
__global__ void read_kernel(const uint4* data, size_t count, uint32_t* out) {
  uint32_t sum = 0;
  const size_t step = size_t{gridDim.x} * kThreads;
#pragma unroll 8
  for (size_t i = size_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) {
    const uint4 value = __ldcs(&data[i]);
    sum ^= value.x ^ value.y ^ value.z ^ value.w;
  }
  if (sum == 1) *out = sum;  // never, but the compiler cannot know
}

}  // namespace

DeviceInfo CudaBackend::device() const {
  CUDA_CHECK(cudaSetDevice(options_.device));
  cudaDeviceProp properties;
  CUDA_CHECK(cudaGetDeviceProperties(&properties, options_.device));
  DeviceInfo info{.kind = "cuda", .name = properties.name, .total_bytes = 0, .free_bytes = 0};
  CUDA_CHECK(cudaMemGetInfo(&info.free_bytes, &info.total_bytes));
  return info;
}

// A library that was built for other cards loads well, and only its first kernel fails.
void check_code(const std::string& card) {
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, read_kernel) == cudaSuccess) return;
  const cudaError_t code = cudaGetLastError();
  throw std::runtime_error("the library has no code for " + card + " (" + cudaGetErrorString(code) +
                           "); build it with CMAKE_CUDA_ARCHITECTURES set to this card's");
}

// The median of some readings of one block.
double CudaBackend::measure_read_rate() const {
  CUDA_CHECK(cudaSetDevice(options_.device));
  int num_sms = 0;
  CUDA_CHECK(cudaDeviceGetAttribute(&num_sms, cudaDevAttrMultiProcessorCount, options_.device));
  const size_t num_bytes = std::min(kReadBytes, device().free_bytes / 2 / 16 * 16);
  const DeviceBytes block = allocate_device(num_bytes, "measuring how fast it is read");
  const DeviceBytes out = allocate_device(sizeof(uint32_t), "the same");
  CUDA_CHECK(cudaMemsetAsync(block.get(), 0x5a, num_bytes, stream_));
  std::array<double, 9> rates;
  const Event begin;
  const Event end;
  for (double& rate : rates) {
    begin.record(stream_);
    read_kernel<<<num_sms * kBlocksPerSm, kThreads, 0, stream_>>>(
        reinterpret_cast<const uint4*>(block.get()), num_bytes / sizeof(uint4),
        reinterpret_cast<uint32_t*>(out.get()));
    CUDA_CHECK(cudaGetLastError());
    end.record(stream_);
    rate = static_cast<double>(num_bytes) / (1e-3 * end.milliseconds_since(begin));
  }
  std::ranges::nth_element(rates, rates.begin() + rates.size() / 2);
  return rates[rates.size() / 2];
}

// A failed launch leaves an error that is gone once it was read; a lost context fails every call.
// A copy that failed leaves requests that could never run.
bool CudaBackend::is_lost() {
  cudaGetLastError();
  return copy_failed_ || cudaStreamSynchronize(stream_) != cudaSuccess;
}

}  // namespace sgmv
