#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/cuda/cublas_lt.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/product.h"
#include "backend/cuda/skinny_product.h"

namespace sgmv {

// Products of few rows are the skinny kernel's, where the device can run it, the others
// cuBLASLt's. Which of cuBLASLt's many kernels multiplies is measured when a shape is first seen,
// on weights that are not in L2, and kept for all numbers of rows of the same bucket. Among the
// kernels those are preferred that give a row the same bits as the skinny kernel does, or, without
// it, as the shape's first pick did: so a sequence's tokens do not depend on the batch around it.
// Where none does, the skinny kernel multiplies part after part. Without `same_bits` the fastest
// are taken.
class DenseProduct {
 public:
  DenseProduct(const std::string& library_path, bool same_bits, cudaStream_t stream);
  ~DenseProduct();
  DenseProduct(const DenseProduct&) = delete;
  DenseProduct& operator=(const DenseProduct&) = delete;

  // Tells of weights that will be multiplied, for measuring.
  void add_weights(const void* w, int num_outputs, int num_inputs);

  // Measures, which it must not do during capture, when a bucket of rows is new. True if the kernel
  // that is launched next may be one that reads x at once: Product::next_reads_x has been heeded.
  bool run(const Product& product);
  // By cuBLASLt, whatever the number of rows, for comparison; true if the kernel that was chosen
  // gives the same bits as the skinny one.
  bool run_library(const Product& product);

  size_t version() const { return lt_.get_version(); }

 private:
  struct Shape {
    int num_outputs;
    int num_inputs;
    bool has_bias;
    float scale;
    auto operator<=>(const Shape&) const = default;
  };
  struct Algo {
    cublasLtMatmulAlgo_t algo;
    bool found = false;
    bool agrees = false;
  };
  struct Choice {
    Algo reference;  // of the first bucket that was seen
    std::map<int, Algo> by_bucket;
  };
  class Call;

  void run_in_parts(const Product& product) const;
  const Algo& choice_for(const Product& product);
  const Algo& choose(const Product& product, Choice& choice);
  std::vector<cublasLtMatmulAlgo_t> candidates(const Product& product);
  std::vector<float> expected_output(const Product& product, const Choice& choice);
  std::vector<float> read_output(const Product& product) const;
  float measure(const Product& product, const cublasLtMatmulAlgo_t& algo);
  bool multiply(const Product& product, const cublasLtMatmulAlgo_t& algo);

  CublasLt lt_;
  const bool same_bits_;
  cudaStream_t stream_;
  const SkinnyProduct skinny_;
  cublasLtHandle_t handle_ = nullptr;
  cublasLtMatmulPreference_t preference_ = nullptr;
  DeviceBytes workspace_;
  std::map<Shape, Choice> choices_;
  std::map<std::pair<int, int>, std::vector<const void*>> weights_;  // by outputs and inputs
};

}  // namespace sgmv
