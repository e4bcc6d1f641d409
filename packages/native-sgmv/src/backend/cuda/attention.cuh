#pragma once

#include <climits>

#include "backend/cuda/attention_tiles.cuh"

// What decode and prefill attention share: a warp's work on 16 query rows and 32 keys.
//
// A row's result is the same bit for bit whichever of the two computes it, and whatever else is in
// the batch. Keys are cut into chunks at fixed positions, a chunk into tiles. Within a chunk the
// tiles follow each other; chunks are computed apart and added up in order. All of this needs the
// maxima that scale the exponentials to leave no trace, so they are rounded up to whole numbers:
// changing from one to another multiplies by a power of two, which is exact.

namespace sgmv {

constexpr int kTileRows = 16;  // query rows of a warp; the M of an mma
constexpr int kNoMax = -(1 << 20);
constexpr float kLog2E = 1.4426950408889634f;

// 2^exponent for exponent <= 0.
__device__ inline float exact_exp2(int exponent) {
  return exponent < -126 ? 0.0f : __int_as_float((exponent + 127) << 23);
}

__device__ inline float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The 16 query rows of a warp in the layout of mma operands.
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

// Sums over the keys of a chunk, for the rows lane / 4 and lane / 4 + 8 of a tile.
template <int kDim>
struct ChunkSums {
  float o[kDim / 8][4];  // values weighted by 2^(score - max)
  float l[2];            // weights
  int max[2];            // at least the largest score, in powers of two

  __device__ void clear() {
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) o[n][i] = 0;
    }
    l[0] = l[1] = 0;
    max[0] = max[1] = kNoMax;
  }

  __device__ void rescale(int h, int new_max) {
    const float factor = exact_exp2(max[h] - new_max);
    max[h] = new_max;
    l[h] *= factor;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      o[n][2 * h] *= factor;
      o[n][2 * h + 1] *= factor;
    }
  }

  // Adds up l over the threads that share a row. After the last tile.
  __device__ void finish() {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      l[h] += __shfl_xor_sync(kAllLanes, l[h], 1);
      l[h] += __shfl_xor_sync(kAllLanes, l[h], 2);
    }
  }

  // Adds the sums of the next chunk.
  __device__ void add(const ChunkSums& chunk) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int new_max = ::max(max[h], chunk.max[h]);
      const float factor = exact_exp2(chunk.max[h] - new_max);
      rescale(h, new_max);
      l[h] = __fmaf_rn(chunk.l[h], factor, l[h]);
#pragma unroll
      for (int n = 0; n < kDim / 8; ++n) {
        o[n][2 * h] = __fmaf_rn(chunk.o[n][2 * h], factor, o[n][2 * h]);
        o[n][2 * h + 1] = __fmaf_rn(chunk.o[n][2 * h + 1], factor, o[n][2 * h + 1]);
      }
    }
  }
};

// score[n] = (16 rows of q) . (keys 8n .. 8n + 8 of the tile)
template <int kDim>
__device__ inline void multiply_keys(float (&score)[kTileKeys / 8][4], const QueryTile<kDim>& q,
                                     uint32_t keys, int lane) {
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) score[n][i] = 0;
  }
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k) {
#pragma unroll
    for (int n = 0; n < kTileKeys / 8; n += 2) {
      const int key = n * 8 + lane / 16 * 8 + lane % 8;
      const uint4 b = load_matrices(keys + octet_offset<kDim>(key, k * 2 + lane / 8 % 2));
      mma(score[n], q.a[k][0], q.a[k][1], q.a[k][2], q.a[k][3], b.x, b.y);
      mma(score[n + 1], q.a[k][0], q.a[k][1], q.a[k][2], q.a[k][3], b.z, b.w);
    }
  }
}

// Adds the keys first_key .. first_key + kTileKeys, whose tile is in shared memory, to `sums`.
// `scale` includes log2(e).
template <int kDim>
__device__ inline void add_tile(ChunkSums<kDim>& sums, const QueryTile<kDim>& q, uint32_t tile,
                                int first_key, const VisibleKeys& visible, float scale, int lane) {
  float score[kTileKeys / 8][4];
  multiply_keys<kDim>(score, q, tile, lane);

  float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
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
    const int new_max = max(sums.max[h], static_cast<int>(ceilf(fmaxf(largest[h], kNoMax))));
    if (new_max != sums.max[h]) sums.rescale(h, new_max);
  }

  const float shift[2] = {static_cast<float>(sums.max[0]), static_cast<float>(sums.max[1])};
#pragma unroll
  for (int n = 0; n < kTileKeys / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      score[n][i] = fast_exp2(score[n][i] - shift[i / 2]);
      sums.l[i / 2] += score[n][i];
    }
  }

  const uint32_t values = tile + kHalfTileBytes<kDim>;
#pragma unroll
  for (int k = 0; k < kTileKeys / 16; ++k) {
    const uint32_t a0 = to_f16_pair(score[2 * k][0], score[2 * k][1]);
    const uint32_t a1 = to_f16_pair(score[2 * k][2], score[2 * k][3]);
    const uint32_t a2 = to_f16_pair(score[2 * k + 1][0], score[2 * k + 1][1]);
    const uint32_t a3 = to_f16_pair(score[2 * k + 1][2], score[2 * k + 1][3]);
    const int key = k * 16 + lane % 16;
#pragma unroll
    for (int n = 0; n < kDim / 8; n += 2) {
      const uint4 b = load_matrices_transposed(values + octet_offset<kDim>(key, n + lane / 16));
      mma(sums.o[n], a0, a1, a2, a3, b.x, b.y);
      mma(sums.o[n + 1], a0, a1, a2, a3, b.z, b.w);
    }
  }
}

// The first of the keys that a row at `position` sees.
__device__ inline int first_visible(int position, int sliding_window) {
  return sliding_window > 0 ? max(0, position - sliding_window + 1) : 0;
}

// The sequence of task `task`: the last whose first_task is not beyond it. The warp looks at 32 at
// a time, since one load after another would cost more than all of them at once.
__device__ inline int find_sequence(const AttentionSequence* sequences, int num_sequences,
                                    int task) {
  int num_begun = 0;
  for (int first = 0; first < num_sequences; first += kWarpSize) {
    const int i = first + static_cast<int>(threadIdx.x) % kWarpSize;
    const bool has_begun = i < num_sequences && sequences[i].first_task <= task;
    num_begun += __popc(__ballot_sync(kAllLanes, has_begun));
  }
  return num_begun - 1;
}

// Writes two neighbouring outputs of a row, for the columns that exist.
__device__ inline void store_pair(f16* y, int col, int head_dim, float low, float high) {
  if (col < head_dim) *reinterpret_cast<uint32_t*>(y + col) = to_f16_pair(low, high);
}

// Calls f with the compile-time width that heads of `head_dim` are padded to.
template <typename F>
void for_width(int head_dim, F f) {
  if (head_dim <= 64) {
    f(std::integral_constant<int, 64>());
  } else if (head_dim <= 128) {
    f(std::integral_constant<int, 128>());
  } else {
    f(std::integral_constant<int, 256>());
  }
}

}  // namespace sgmv
