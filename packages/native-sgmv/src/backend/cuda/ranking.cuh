#pragma once

#include "backend/cuda/block_reduce.cuh"

// The tokens of a row by their logits: which come first, and up to where a number or a weight of
// them reaches. A thread block works on one row.

namespace sgmv {

constexpr float kOne = 0x1p44f;  // the weight 1

// Orders as the logits do; equal ones, 0 and -0 among them, are equal.
__device__ inline uint32_t key_of(float logit) {
  const uint32_t bits = __float_as_uint(logit + 0.0f);
  return bits >> 31 != 0 ? ~bits : bits | 0x80000000;
}

__device__ inline float logit_of(uint32_t key) {
  return __uint_as_float(key >> 31 != 0 ? key & 0x7fffffff : ~key);
}

// Orders tokens by logit, and among equals the lowest token id highest.
__device__ inline uint64_t rank_of(float logit, int token) {
  return uint64_t{key_of(logit)} << 32 | static_cast<uint32_t>(~token);
}

__device__ inline int token_of(uint64_t rank) {
  return static_cast<int>(~static_cast<uint32_t>(rank));
}

// The logits of a row, and the weights e^((logit - max) / temperature), at most 1.
struct Row {
  const float* logits;
  int size;
  float max;
  float inverse_temperature;

  __device__ uint64_t weight(float logit) const {
    return static_cast<uint64_t>(expf((logit - max) * inverse_temperature) * kOne);
  }
};

// The highest rank below `limit`.
__device__ inline uint64_t highest_rank(const Row& row, uint64_t limit) {
  uint64_t highest = 0;
  for (int i = threadIdx.x; i < row.size; i += kReduceThreads) {
    const uint64_t rank = rank_of(row.logits[i], i);
    if (rank < limit && rank > highest) highest = rank;
  }
  return block_max(highest);
}

// Tokens that come first in the order of ranks, and their weight.
struct Prefix {
  uint32_t count;
  uint64_t weight;
};

__device__ inline Prefix whole(const Row& row, uint64_t min_weight) {
  Prefix sum{0, 0};
  for (int i = threadIdx.x; i < row.size; i += kReduceThreads) {
    const uint64_t weight = row.weight(row.logits[i]);
    if (weight < min_weight) continue;
    ++sum.count;
    sum.weight += weight;
  }
  return {static_cast<uint32_t>(block_sum(uint64_t{sum.count})), block_sum(sum.weight)};
}

// A logit of which some tokens are in a prefix and the others are not.
struct Edge {
  uint32_t key;
  Prefix above;     // all tokens with a larger logit
  uint32_t count;   // of the tokens with this logit
  uint64_t weight;  // of one of them
};

constexpr int kBinBits = 11;
constexpr int kBins = 1 << kBinBits;
static_assert(kBins == 2 * kReduceThreads);

struct Bins {
  unsigned long long weight[kBins];
  uint32_t count[kBins];
  Prefix above;
  int bin;
};

// Counts the tokens whose key begins with `prefix`, the bits above `shift + bits`.
__device__ inline void fill_bins(Bins& bins, const Row& row, uint32_t prefix, int shift, int bits) {
  for (int i = threadIdx.x; i < kBins; i += kReduceThreads) {
    bins.weight[i] = 0;
    bins.count[i] = 0;
  }
  __syncthreads();
  const int above = shift + bits;
  for (int i = threadIdx.x; i < row.size; i += kReduceThreads) {
    const float logit = row.logits[i];
    const uint32_t key = key_of(logit);
    if (above < 32 && key >> above != prefix >> above) continue;
    const uint32_t bin = key >> shift & ((1u << bits) - 1);
    atomicAdd(&bins.weight[bin], row.weight(logit));
    atomicAdd(&bins.count[bin], 1u);
  }
  __syncthreads();
}

// The logit at which the tokens so far first have `is_enough(count, weight)`, which must become
// true and stay so.
template <typename Enough>
__device__ inline Edge find_edge(Bins& bins, const Row& row, Enough is_enough) {
  Edge edge{0, {0, 0}, 0, 0};
  int shift = 32;
  while (shift > 0) {
    const int bits = min(kBinBits, shift);
    shift -= bits;
    fill_bins(bins, row, edge.key, shift, bits);
    // A thread has two bins, from the highest on.
    const int high = kBins - 1 - 2 * threadIdx.x;
    const Prefix first{bins.count[high], bins.weight[high]};
    const Prefix second{bins.count[high - 1], bins.weight[high - 1]};
    const uint64_t count = block_scan(uint64_t{first.count} + second.count);
    const uint64_t weight = block_scan(first.weight + second.weight);
    Prefix before{edge.above.count + static_cast<uint32_t>(count) - first.count - second.count,
                  edge.above.weight + weight - first.weight - second.weight};
    const auto ends_at = [&](const Prefix& bin) {
      return bin.count > 0 && !is_enough(before.count, before.weight) &&
             is_enough(before.count + bin.count, before.weight + bin.weight);
    };
    int found = -1;
    if (ends_at(first)) {
      found = high;
    } else {
      before = {before.count + first.count, before.weight + first.weight};
      if (ends_at(second)) found = high - 1;
    }
    if (found >= 0) {
      bins.above = before;
      bins.bin = found;
    }
    __syncthreads();
    edge.above = bins.above;
    edge.key |= static_cast<uint32_t>(bins.bin) << shift;
    edge.count = bins.count[bins.bin];
    __syncthreads();
  }
  edge.weight = row.weight(logit_of(edge.key));
  return edge;
}

__device__ inline Prefix prefix_at(const Edge& edge, uint64_t num_of_edge) {
  const uint64_t count = min(max(num_of_edge, uint64_t{1}), uint64_t{edge.count});
  return {edge.above.count + static_cast<uint32_t>(count), edge.above.weight + count * edge.weight};
}

__device__ inline Prefix shorter(const Prefix& a, const Prefix& b) {
  return a.count <= b.count ? a : b;
}

}  // namespace sgmv
