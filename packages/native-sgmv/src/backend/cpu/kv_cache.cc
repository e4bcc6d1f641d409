#include "backend/cpu/cpu_backend.h"

namespace sgmv {

// A page is [num_layers][k, v][num_kv_heads][blocks], a block kKvBlock tokens of one KV head: keys
// as [head_dim][kKvBlock], so that one vector holds a component of 16 keys, and values as
// [kKvBlock][head_dim], both with head_dim padded. A page size that is no multiple of kKvBlock
// leaves the last block of a page partly unused.
size_t CpuBackend::page_bytes() const {
  return size_t{2} * shape_.num_layers * shape_.num_kv_heads * blocks_per_page_ * kKvBlock *
         padded_head_dim_ * sizeof(float);
}

float* CpuBackend::kv_block(int page, int layer, bool is_value, int head, int block) const {
  int64_t index = int64_t{layer} * 2 + (is_value ? 1 : 0);
  index = index * shape_.num_kv_heads + head;
  index = index * blocks_per_page_ + block;
  auto* start = reinterpret_cast<float*>(slots_.get() + page * page_bytes());
  return start + index * kKvBlock * padded_head_dim_;
}

}  // namespace sgmv
