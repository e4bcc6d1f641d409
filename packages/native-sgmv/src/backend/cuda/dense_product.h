#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/cuda/cublas_lt.h"
#include "backend/cuda/device_memory.h"

namespace sgmv {

// y = x w^T + bias on cuBLASLt: bf16 in, f32 sums.
struct Product {
  int num_rows;
  int num_outputs;
  int num_inputs;
  const void* x;  // [num_rows, num_inputs] bf16
  int x_stride;
  const void* w;     // [num_outputs, num_inputs] bf16
  const void* bias;  // [num_outputs] bf16, or null
  void* y;           // [num_rows, num_outputs]
  int y_stride;
  bool f32_out;  // y is f32, else bf16
};

// Which of cuBLASLt's many kernels multiplies is measured when a shape is first seen, on weights
// that are not in L2, and kept for all numbers of rows of the same bucket. Among the kernels those
// are preferred that give a row the same bits as the shape's first pick did, whatever the number of
// rows: so a sequence's tokens do not depend on the batch around it. Without `same_bits` the
// fastest are taken.
class DenseProduct {
 public:
  DenseProduct(const std::string& library_path, bool same_bits, cudaStream_t stream);
  ~DenseProduct();
  DenseProduct(const DenseProduct&) = delete;
  DenseProduct& operator=(const DenseProduct&) = delete;

  // Tells of weights that will be multiplied, for measuring.
  void add_weights(const void* w, int num_outputs, int num_inputs);

  // Measures, which it must not do during capture, when a bucket of rows is new.
  void run(const Product& product);

  size_t version() const { return lt_.get_version(); }

 private:
  struct Shape {
    int num_outputs;
    int num_inputs;
    bool f32_out;
    bool has_bias;
    auto operator<=>(const Shape&) const = default;
  };
  struct Algo {
    cublasLtMatmulAlgo_t algo;
    bool found = false;
  };
  struct Choice {
    Algo reference;  // of the first bucket that was seen
    std::map<int, Algo> by_bucket;
  };
  class Call;

  const cublasLtMatmulAlgo_t& choose(const Product& product, Choice& choice);
  std::vector<cublasLtMatmulAlgo_t> candidates(const Product& product);
  std::vector<uint8_t> read_output(const Product& product) const;
  float measure(const Product& product, const cublasLtMatmulAlgo_t& algo);
  bool multiply(const Product& product, const cublasLtMatmulAlgo_t& algo);

  CublasLt lt_;
  const bool same_bits_;
  cudaStream_t stream_;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulPreference_t preference_ = nullptr;
  DeviceBytes workspace_;
  std::map<Shape, Choice> choices_;
  std::map<std::pair<int, int>, std::vector<const void*>> weights_;  // by outputs and inputs
};

}  // namespace sgmv
