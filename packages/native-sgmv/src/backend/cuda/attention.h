#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "backend/cuda/kv_layout.h"

namespace sgmv {

// Keys are summed up in chunks of this many, cut at fixed positions.
constexpr int kChunkKeys = 256;

constexpr int kMaxHeadDim = 256;

// One sequence of a step, as attention reads it.
struct AttentionSequence {
  int first_row;  // of the batch
  int num_rows;
  int context_len;  // with the rows of this step; its rows are the last positions
  int first_page;   // index into pages
  int first_task;   // decode: of all (sequence, chunk); prefill: of all (sequence, block of rows)
};

struct AttentionArgs {
  const AttentionSequence* sequences;
  const int32_t* num_sequences;  // [1]
  const int32_t* num_tasks;      // [1]: the sum over the sequences
  const int32_t* pages;
  KvLayout kv;
  int layer;
  const float* q;
  __half* y;
  int q_stride;
  int y_stride;
  int num_heads;
  int head_dim;
  int sliding_window;  // 0: none
};

// Scratch of decode attention: sums of chunks on their way to the warp that adds them up.
struct AttentionScratch {
  float* sums;        // [tasks, kv heads, query tiles][query rows of a tile][head width + 2]
  uint32_t* arrived;  // [sequences, kv heads, query tiles]; zero between launches
};

// Query heads that share a KV head fall into tiles of 8.
struct QueryTiles {
  int count;
  int rows;  // of a tile, at most

  __host__ __device__ explicit QueryTiles(int heads_per_kv)
      : count((heads_per_kv + 7) / 8), rows(heads_per_kv < 8 ? heads_per_kv : 8) {}
};

// Floats of AttentionScratch::sums for `num_tasks` tasks.
size_t attention_scratch_floats(int num_tasks, int num_heads, int num_kv_heads, int head_dim);

// First of the chunks that the last row of a sequence sees.
inline int first_chunk(int context_len, int sliding_window) {
  const int key =
      sliding_window > 0 && context_len > sliding_window ? context_len - sliding_window : 0;
  return key / kChunkKeys;
}

inline int num_chunks(int context_len, int sliding_window) {
  return (context_len + kChunkKeys - 1) / kChunkKeys - first_chunk(context_len, sliding_window);
}

constexpr int kPrefillBlockRows = 64;  // query rows of a thread block, in all heads of a KV head

// Sequences of one row each.
void launch_attention_decode(const AttentionArgs& args, const AttentionScratch& scratch,
                             cudaStream_t stream);

// Sequences of any number of rows; `num_tasks` is what args.num_tasks points to.
void launch_attention_prefill(const AttentionArgs& args, int num_tasks, cudaStream_t stream);

}  // namespace sgmv
