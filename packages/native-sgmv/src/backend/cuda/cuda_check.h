#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace sgmv {

// A failed CUDA call. After most of these the context is lost, so the node stops and says why.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const char* call, const char* file, int line)
      : std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + call +
                           " failed: " + cudaGetErrorString(code)),
        code_(code) {}

  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

}  // namespace sgmv

// Every CUDA call goes through this, and `CUDA_CHECK(cudaGetLastError())` follows every launch.
#define CUDA_CHECK(call)                                         \
  do {                                                           \
    const cudaError_t code_ = (call);                            \
    if (code_ != cudaSuccess) {                                  \
      throw ::sgmv::CudaError(code_, #call, __FILE__, __LINE__); \
    }                                                            \
  } while (0)
