#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include "backend/cuda/product.h"

namespace sgmv {

// Dense products of at most this many rows are ours; cuBLASLt has the larger ones.
constexpr int kMaxSkinnyRows = 32;

// y = x w^T + bias for few rows, where the time is that of reading w. Needs the copy engine of
// sm_90. An output is the sum over the inputs in blocks of 16, one after the other, whatever the
// number of rows.
class SkinnyProduct {
 public:
  // Reads what it needs to know of the current device.
  SkinnyProduct();

  bool is_supported() const { return encode_ != nullptr; }

  // p.num_rows is at most kMaxSkinnyRows; num_inputs and x_stride are multiples of 8, and w and x
  // of 16 bytes. Neither allocates nor waits.
  void run(const Product& p, cudaStream_t stream) const;

 private:
  // What the copy engine copies at a time: so many rows of so many chunks of 64 columns.
  struct Box {
    int num_rows;
    int num_chunks;
  };
  CUtensorMap map_of(const void* data, int num_rows, int num_cols, int stride,
                     const Box& box) const;

  decltype(&cuTensorMapEncodeTiled) encode_ = nullptr;
  int num_sms_ = 0;
  int max_ring_bytes_ = 0;  // that a thread block can have
};

}  // namespace sgmv
