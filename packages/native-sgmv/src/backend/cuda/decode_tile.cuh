#pragma once

#include "backend/cuda/attention.cuh"

// A warp's work on the query heads of one row and a tile of keys. Keys and values are the left
// operands of the tensor cores, with 16 rows, and the queries the right one, with 8 columns: a KV
// head has few query heads, and so fewer of the products are of nothing.

namespace sgmv {

constexpr int kDecodeKeys = 16;  // of a tile: one step

template <int kDim>
using HeadSums = ChunkSums<kDim / 16, Queries::kColumns>;

// Up to 8 query heads as the right operand of mma: this thread has values of head lane / 4.
template <int kDim>
struct QueryHeads {
  uint32_t b[kDim / 16][2];

  // `head` is null where there is none.
  __device__ void load(const float* head, int head_dim, int lane) {
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int col = k * 16 + i * 8 + lane % 4 * 2;
        b[k][i] = 0;
        if (head == nullptr || col >= head_dim) continue;
        const float2 pair = *reinterpret_cast<const float2*>(head + col);
        b[k][i] = to_f16_pair(pair.x, pair.y);
      }
    }
  }
};

// An 8x8 matrix of f16 of which this thread has two values of row lane / 4, transposed.
__device__ inline uint32_t transpose(uint32_t pair) {
  uint32_t result;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(pair));
  return result;
}

// Adds the keys first_key .. first_key + kDecodeKeys, whose tile is in shared memory, to `sums`, as
// far as they are in [begin, end). `scale` includes log2(e).
template <int kDim>
__device__ inline void add_keys(HeadSums<kDim>& sums, const QueryHeads<kDim>& q, uint32_t tile,
                                int first_key, int begin, int end, float scale, int lane) {
  float score[4] = {};
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) {
    const uint4 a = load_matrices(tile + octet_offset<kDim>(lane % 16, k * 2 + lane / 16));
    mma(score, a.x, a.y, a.z, a.w, q.b[k][0], q.b[k][1]);
  }

  float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int key = first_key + i / 2 * 8 + lane / 4;
    score[i] = key >= begin && key < end ? score[i] * scale : -INFINITY;
    largest[i % 2] = fmaxf(largest[i % 2], score[i]);
  }
#pragma unroll
  for (int lanes = 4; lanes < kWarpSize; lanes *= 2) {
    largest[0] = fmaxf(largest[0], __shfl_xor_sync(kAllLanes, largest[0], lanes));
    largest[1] = fmaxf(largest[1], __shfl_xor_sync(kAllLanes, largest[1], lanes));
  }
  sums.raise(largest);

  const float shift[2] = {static_cast<float>(sums.max[0]), static_cast<float>(sums.max[1])};
#pragma unroll
  for (int i = 0; i < 4; ++i) score[i] = fast_exp2(score[i] - shift[i % 2]);
  const uint32_t b0 = transpose(to_f16_pair(score[0], score[1]));
  const uint32_t b1 = transpose(to_f16_pair(score[2], score[3]));
  mma(sums.weights, kOnes, kOnes, kOnes, kOnes, b0, b1);
  const uint32_t values = tile + kValuesOffset<kDim, kDecodeKeys>;
  const int key = lane / 16 * 8 + lane % 8;
#pragma unroll
  for (int n = 0; n < kDim / 16; ++n) {
    const uint4 a =
        load_matrices_transposed(values + octet_offset<kDim>(key, n * 2 + lane / 8 % 2));
    mma(sums.o[n], a.x, a.y, a.z, a.w, b0, b1);
  }
}

}  // namespace sgmv
