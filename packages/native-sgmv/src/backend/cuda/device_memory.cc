#include "backend/cuda/device_memory.h"

#include "backend/cuda/cuda_check.h"

namespace sgmv {

std::string megabytes(size_t num_bytes) {
  return std::to_string((num_bytes + (size_t{1} << 20) - 1) >> 20) + " MB";
}

DeviceBytes allocate_device(size_t num_bytes, const char* purpose) {
  void* memory = nullptr;
  const cudaError_t code = cudaMalloc(&memory, num_bytes);
  if (code == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // An allocation that failed leaves the card as it was.
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    CUDA_CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
    throw DeviceMemoryFull("The GPU has " + megabytes(free_bytes) + " of " +
                           megabytes(total_bytes) + " left and " + megabytes(num_bytes) +
                           " are needed for " + purpose + ".");
  }
  CUDA_CHECK(code);
  return DeviceBytes(static_cast<uint8_t*>(memory));
}

PinnedBytes allocate_pinned(size_t num_bytes) {
  void* memory = nullptr;
  CUDA_CHECK(cudaMallocHost(&memory, num_bytes));
  return PinnedBytes(static_cast<uint8_t*>(memory));
}

}  // namespace sgmv
