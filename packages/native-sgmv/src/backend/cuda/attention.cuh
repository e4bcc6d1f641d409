#pragma once

#include <climits>

#include "backend/cuda/attention_tiles.cuh"

// What decode and prefill attention share.
//
// A row's result is the same bit for bit whichever of the two computes it, and whatever else is in
// the batch. Keys are cut into chunks at fixed positions, and these into steps of 16 keys, each of
// which may raise the maximum that scales the exponentials. Within a chunk the steps follow each
// other; chunks are computed apart and added up in order. The maxima are rounded up to whole
// numbers, so that changing from one to another multiplies by a power of two, which is exact. Both
// add up weights on the tensor cores, as they do values, so that the order is the same.

namespace sgmv {

constexpr uint32_t kOnes = 0x3c003c00;  // two f16
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

// What the queries are in the result of an mma: its rows or its columns. A thread has values of
// two.
enum class Queries { kRows, kColumns };

// Sums over the keys of a chunk, for two queries a thread: rows lane / 4 and lane / 4 + 8, or
// columns lane % 4 * 2 and the next.
template <int kTiles, Queries kQueries>
struct ChunkSums {
  float o[kTiles][4];  // values weighted by 2^(score - max)
  float weights[4];    // their sum, for each query twice
  int max[2];          // at least the largest score, in powers of two

  __device__ static constexpr int query_of(int i) {
    return kQueries == Queries::kRows ? i / 2 : i % 2;
  }
  __device__ float weight(int h) const { return weights[kQueries == Queries::kRows ? 2 * h : h]; }

  __device__ void clear() {
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) o[n][i] = 0;
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) weights[i] = 0;
    max[0] = max[1] = kNoMax;
  }

  __device__ void rescale(int h, int new_max) {
    const float factor = exact_exp2(max[h] - new_max);
    max[h] = new_max;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (query_of(i) != h) continue;
      weights[i] *= factor;
#pragma unroll
      for (int n = 0; n < kTiles; ++n) o[n][i] *= factor;
    }
  }

  // Makes room for scores of this thread up to largest[h].
  __device__ void raise(const float (&largest)[2]) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int new_max = ::max(max[h], static_cast<int>(ceilf(fmaxf(largest[h], kNoMax))));
      if (new_max != max[h]) rescale(h, new_max);
    }
  }

  // Adds the sums of the next chunk.
  __device__ void add(const ChunkSums& chunk) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const int new_max = ::max(max[h], chunk.max[h]);
      const float factor = exact_exp2(chunk.max[h] - new_max);
      rescale(h, new_max);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (query_of(i) != h) continue;
        weights[i] = __fmaf_rn(chunk.weights[i], factor, weights[i]);
#pragma unroll
        for (int n = 0; n < kTiles; ++n) o[n][i] = __fmaf_rn(chunk.o[n][i], factor, o[n][i]);
      }
    }
  }
};

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
