#pragma once

#include <algorithm>
#include <cstdint>

#include "backend/cuda/sgmv.h"

namespace sgmv {

// Work of one cluster of thread blocks: a few rows of one segment, for one slice of the outputs.
// The slices of the same rows each compute v anew: reading A again from L2 is cheaper than handing
// v from one cluster to another.
struct alignas(16) SgmvItem {
  const uint4* weights;  // A of the group, then B of each module
  int row;
  int num_rows;  // 0: nothing to do
  int rank[kMaxGroupModules];
  uint16_t slice;
  uint16_t log2_slices;
  float scale[kMaxGroupModules];
  // Blocks of 32 of d_in in a chunk of the last panel of A, and of d_out in a chunk of each B.
  uint8_t chunk_blocks_in;
  uint8_t chunk_blocks_out[kMaxGroupModules];
};
static_assert(sizeof(SgmvItem) == 48);

// Items are cut at kDecodeRows rows if the batch has at most kMaxDecodeRows, else at kPrefillRows;
// there, where the ranks of a group add up to more than kPrefillRank, at kDecodeRows again, so that
// v fits into shared memory.
constexpr int kDecodeRows = 8;
constexpr int kPrefillRows = 16;
constexpr int kMaxDecodeRows = 128;
constexpr int kPrefillRank = 256;
constexpr int kMaxPaddedRank = kMaxGroupModules * kMaxRank;

// Whether the code that the device runs was compiled for thread block clusters (sm_90 on). Without,
// a block does a cluster's work.
bool has_clusters();

// With fewer items than this the outputs are sliced, to use more of the GPU: fewer leave memory
// bandwidth unused, more read A too often.
inline int sgmv_min_items() { return has_clusters() ? 12 : 128; }

inline int sgmv_block_rows(const SgmvPlan& plan) {
  return plan.max_rows <= kMaxDecodeRows ? kDecodeRows : kPrefillRows;
}

// The most items that any batch of the plan's size can have: the clusters of every launch.
inline int sgmv_max_items(int max_rows, int max_segments) {
  const int row_blocks = std::min(max_rows, max_rows / kDecodeRows + max_segments);
  return std::max(row_blocks, 2 * sgmv_min_items() - 1);
}

// A multiple of 16: where tensor core tiles of different modules meet in v.
__host__ __device__ constexpr int padded_rank(int rank) { return (rank + 15) / 16 * 16; }

}  // namespace sgmv
