#include "backend/cuda/cuda_backend.h"

namespace sgmv {

AttentionArgs CudaBackend::attention_args(Matrix y, Matrix q, int layer) const {
  return {.sequences = nullptr,
          .num_sequences = nullptr,
          .num_tasks = nullptr,
          .pages = arrays_.pages,
          .kv = kv_layout(),
          .layer = layer,
          .q = data<float>(q),
          .y = data<__half>(y),
          .q_stride = q.stride,
          .y_stride = y.stride,
          .num_heads = shape_.num_heads,
          .head_dim = shape_.head_dim,
          .sliding_window = shape_.sliding_window};
}

// Sequences of one row go to the kernel that splits their keys over the GPU, the others to the one
// that shares keys among rows. Both give a row the same bits.
void CudaBackend::attention(Matrix y, Matrix q, int layer) {
  AttentionArgs args = attention_args(y, q, layer);
  const StepSizes& sizes = upload_.sizes();
  if (sizes.num_prefill > 0) {
    args.sequences = arrays_.prefill;
    args.num_sequences = arrays_.num_prefill;
    args.num_tasks = arrays_.num_prefill_tasks;
    launch_attention_prefill(args, sizes.num_prefill_tasks, stream_);
  }
  if (sizes.num_decode > 0) {
    args.sequences = arrays_.decode;
    args.num_sequences = arrays_.num_decode;
    args.num_tasks = arrays_.num_decode_tasks;
    launch_attention_decode(args, {chunk_sums_.data(), arrived_.data()}, stream_);
  }
}

}  // namespace sgmv
