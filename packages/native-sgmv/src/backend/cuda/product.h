#pragma once

namespace sgmv {

// y = scale * x w^T + bias, with sums in f32.
struct Product {
  int num_rows;
  int num_outputs;
  int num_inputs;
  const void* x;  // [num_rows, num_inputs] f16
  int x_stride;
  const void* w;      // [num_outputs, num_inputs] f16
  const float* bias;  // [num_outputs], or null
  float* y;           // [num_rows, num_outputs]
  int y_stride;
  float scale;  // a power of two
  // Asks that the kernel that is launched next starts only when x is there for it too, as one with
  // SgmvStart::kWithProduct needs it.
  bool next_reads_x = false;
};

}  // namespace sgmv
