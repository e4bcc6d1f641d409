#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

void CpuBackend::rope_append(Matrix q, Matrix k, Matrix v, int layer) {
  const int head_dim = shape_.head_dim;
  const int half = head_dim / 2;
  row_seq_.resize(batch_->num_rows);
  for (int s = 0; s < batch_->num_seqs; ++s) {
    for (int t = batch_->row_start[s]; t < batch_->row_start[s + 1]; ++t) row_seq_[t] = s;
  }

  for_rows(q.num_rows, int64_t{q.num_cols} + 4 * k.num_cols, [&](int t) {
    const int position = batch_->positions[t];
    const float* cos = rope_cos_.data() + int64_t{position} * half;
    const float* sin = rope_sin_.data() + int64_t{position} * half;
    for (int col = 0; col < q.num_cols; col += head_dim) {
      kernels_.rotate(row(q, t) + col, cos, sin, half);
    }

    const int page_index = batch_->page_start[row_seq_[t]] + position / shape_.page_size;
    const int page = batch_->pages[page_index];
    const int slot = position % shape_.page_size;
    for (int head = 0; head < shape_.num_kv_heads; ++head) {
      float* key = row(k, t) + head * head_dim;
      const float* value = row(v, t) + head * head_dim;
      kernels_.rotate(key, cos, sin, half);
      const int lane = slot % kKvBlock;
      float* keys = kv_block(page, layer, false, head, slot / kKvBlock);
      float* values = kv_block(page, layer, true, head, slot / kKvBlock) + lane * padded_head_dim_;
      for (int d = 0; d < head_dim; ++d) keys[d * kKvBlock + lane] = key[d];
      for (int d = 0; d < head_dim; ++d) values[d] = value[d];
    }
  });
}

}  // namespace sgmv
