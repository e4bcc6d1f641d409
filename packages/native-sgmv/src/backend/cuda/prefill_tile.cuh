#pragma once

#include "backend/cuda/attention.cuh"

// A warp's work on 16 query rows and 32 keys.

namespace sgmv {

constexpr int kTileRows = 16;  // the M of an mma
constexpr int kTileKeys = 32;

template <int kDim>
using RowSums = ChunkSums<kDim / 8, Queries::kRows>;

// The 16 query rows of a warp as the left operand of mma.
template <int kDim>
struct QueryTile {
  uint32_t a[kDim / 16][4];

  // The pair of values of a row from `col` on; rows[i] is the i-th of this thread's two rows, null
  // if there is none.
  __device__ void load(const float* const (&rows)[2], int head_dim, int lane) {
#pragma unroll
    for (int k = 0; k < kDim / 16; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int col = k * 16 + i / 2 * 8 + lane % 4 * 2;
        const float* row = rows[i % 2];
        a[k][i] = 0;
        if (row == nullptr || col >= head_dim) continue;
        const float2 pair = *reinterpret_cast<const float2*>(row + col);
        a[k][i] = to_f16_pair(pair.x, pair.y);
      }
    }
  }
};

// The keys that each of this thread's two rows sees.
struct VisibleKeys {
  int begin[2];
  int end[2];
};

// score[k][n] = (16 rows of q) . (8 keys of the tile, from 16 k + 8 n on)
template <int kDim>
__device__ inline void multiply_keys(float (&score)[kTileKeys / 16][2][4], const QueryTile<kDim>& q,
                                     uint32_t keys, int lane) {
  memset(score, 0, sizeof(score));
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) {
#pragma unroll
    for (int n = 0; n < kTileKeys / 16; ++n) {
      const int key = n * 16 + lane / 16 * 8 + lane % 8;
      const uint4 b = load_matrices(keys + octet_offset<kDim>(key, k * 2 + lane / 8 % 2));
      mma(score[n][0], q.a[k][0], q.a[k][1], q.a[k][2], q.a[k][3], b.x, b.y);
      mma(score[n][1], q.a[k][0], q.a[k][1], q.a[k][2], q.a[k][3], b.z, b.w);
    }
  }
}

// Adds 16 keys from first_key on to `sums`: `score` is theirs, `values` where they begin in the
// tile.
template <int kDim>
__device__ inline void add_keys(RowSums<kDim>& sums, float (&score)[2][4], uint32_t values,
                                int row_in_tile, int first_key, const VisibleKeys& visible,
                                float scale, int lane) {
  float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int h = i / 2;
      const int key = first_key + n * 8 + lane % 4 * 2 + i % 2;
      const bool is_seen = key >= visible.begin[h] && key < visible.end[h];
      score[n][i] = is_seen ? score[n][i] * scale : -INFINITY;
      largest[h] = fmaxf(largest[h], score[n][i]);
    }
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    largest[h] = fmaxf(largest[h], __shfl_xor_sync(kAllLanes, largest[h], 1));
    largest[h] = fmaxf(largest[h], __shfl_xor_sync(kAllLanes, largest[h], 2));
  }
  sums.raise(largest);

  const float shift[2] = {static_cast<float>(sums.max[0]), static_cast<float>(sums.max[1])};
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) score[n][i] = fast_exp2(score[n][i] - shift[i / 2]);
  }
  const uint32_t a0 = to_f16_pair(score[0][0], score[0][1]);
  const uint32_t a1 = to_f16_pair(score[0][2], score[0][3]);
  const uint32_t a2 = to_f16_pair(score[1][0], score[1][1]);
  const uint32_t a3 = to_f16_pair(score[1][2], score[1][3]);
  mma(sums.weights, a0, a1, a2, a3, kOnes, kOnes);
  const int row = row_in_tile + lane % 16;
#pragma unroll
  for (int n = 0; n < kDim / 8; n += 2) {
    const uint4 b = load_matrices_transposed(values + octet_offset<kDim>(row, n + lane / 16));
    mma(sums.o[n], a0, a1, a2, a3, b.x, b.y);
    mma(sums.o[n + 1], a0, a1, a2, a3, b.z, b.w);
  }
}

// Adds the keys first_key .. first_key + kTileKeys, whose tile is in shared memory, to `sums`.
// `scale` includes log2(e).
template <int kDim>
__device__ inline void add_tile(RowSums<kDim>& sums, const QueryTile<kDim>& q, uint32_t tile,
                                int first_key, const VisibleKeys& visible, float scale, int lane) {
  float score[kTileKeys / 16][2][4];
  multiply_keys<kDim>(score, q, tile, lane);
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
    add_keys<kDim>(sums, score[k], tile + kValuesOffset<kDim, kTileKeys>, k * 16,
                   first_key + k * 16, visible, scale, lane);
  }
}

}  // namespace sgmv
