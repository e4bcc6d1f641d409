// What tests of single operations share that run on both backends: the two, and small inputs.
#pragma once

#include <algorithm>
#include <limits>

#include "cuda_fixture.h"

namespace sgmv {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Pair {
  std::unique_ptr<Backend> cpu = create_cpu_backend({.num_threads = 2});
  std::unique_ptr<Backend> cuda = create_cuda();

  void set_shape(const ModelShape& shape) {
    cpu->set_shape(shape);
    cuda->set_shape(shape);
  }
};

inline ModelShape small_shape() {
  return {.num_layers = 1,
          .hidden_size = 64,
          .num_heads = 4,
          .num_kv_heads = 2,
          .head_dim = 16,
          .intermediate_size = 64,
          .vocab_size = 64,
          .max_positions = 64,
          .sliding_window = 0,
          .page_size = 16};
}

inline int uniform(std::mt19937& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}

inline Activations poisoned(int num_rows, int num_cols) {
  Activations a(num_rows, num_cols);
  std::ranges::fill(a.values, kNaN);
  return a;
}

inline StepArrays rows_of(int num_rows) { return StepArrays({{0, num_rows, {}}}); }

}  // namespace sgmv
