#pragma once

#include <cuda_fp16.h>

#include <cstddef>
#include <cstdint>

namespace sgmv {

// Where keys and values lie in a KV page:
//   page[num_layers][num_kv_heads][keys, values][page_size][stride]
// in f16, so that what one head reads of a page is contiguous. stride is head_dim rounded up to 8
// for loads of 16 bytes; the padding is zero.
constexpr int kv_stride(int head_dim) { return (head_dim + 7) / 8 * 8; }

struct KvLayout {
  uint8_t* pool;
  size_t page_bytes;
  int num_kv_heads;
  int page_size;
  int stride;

#if defined(__CUDACC__)
  __device__ __half* head(int page, int layer, int head, bool is_value) const {
    auto* start = reinterpret_cast<__half*>(pool + page * page_bytes);
    const int64_t index = (int64_t{layer} * num_kv_heads + head) * 2 + (is_value ? 1 : 0);
    return start + index * page_size * stride;
  }
#endif
};

}  // namespace sgmv
