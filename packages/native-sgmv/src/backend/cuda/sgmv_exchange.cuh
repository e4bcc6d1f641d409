#pragma once

#include "backend/cuda/sgmv_shared.cuh"

namespace sgmv {

// Sends the parts of v to the blocks that sum them. In the result of an mma, lanes 4g .. 4g + 3
// hold ranks g and g + 8 for 8 rows: these go to block g, to tile f = i * tiles + m of this worker.
template <int kRows>
__device__ inline void send_parts(const float (&acc)[kPanelTiles][kRows / 8][4], uint32_t parts,
                                  uint32_t barrier, int num_tiles, int num_rows, int worker,
                                  int lane) {
  const int block = lane / 4 % kClusterBlocks;
  const int owner = lane / 4 / kClusterBlocks * kWorkers + worker;
  const int all_tiles = num_tiles * divide_up(num_rows, 8);
  const uint32_t to = cluster_address(parts, block) + owner * all_tiles * 64 + lane % 4 * 16;
  const uint32_t to_barrier = cluster_address(barrier, block);
#pragma unroll
  for (int i = 0; i < kRows / 8; ++i) {
#pragma unroll
    for (int m = 0; m < kPanelTiles; ++m) {
      if (m >= num_tiles || i * 8 >= num_rows) break;
      send(to + (i * num_tiles + m) * 64, acc[m][i], to_barrier);
    }
  }
}

// Where rank r of the stack goes in v, and the scale of its module.
__device__ inline void find_rank(const SgmvItem& item, int r, int& column, float& scale) {
  column = r;
  scale = item.scale[0];
  if (r >= item.rank[0]) {
    column += padded_rank(item.rank[0]) - item.rank[0];
    scale = item.scale[1];
  }
  if (r >= item.rank[0] + item.rank[1]) {
    column += padded_rank(item.rank[1]) - item.rank[1];
    scale = item.scale[2];
  }
}

// Sums this block's parts of v, for a panel from first_rank on, in the order of the workers, and
// sends scale * v as f16 to every block of the cluster.
template <int kRows>
__device__ inline void sum_parts(uint8_t* shared, const SgmvItem& item, float x_scale,
                                 int first_rank, int ranks, int v_stride, int rank) {
  using Layout = SharedLayout<kRows>;
  const float* parts = reinterpret_cast<const float*>(shared + Layout::kParts);
  const uint32_t v = shared_address(shared + Layout::kV);
  const uint32_t barrier = shared_address(shared + Layout::kVBarrier);
  const int num_tiles = divide_up(ranks, 16);
  const int all_tiles = num_tiles * divide_up(item.num_rows, 8);
  const int num_elements = 8 / kClusterBlocks * all_tiles * 16;
  for (int first = threadIdx.x / 32 * 32; first < num_elements; first += kThreads) {
    const int e = first + threadIdx.x % 32;
    // Which of the ranks g of this block; without clusters it has them all.
    const int own = kClusterBlocks == 8 ? 0 : e / 16 / all_tiles;
    const int tile = e / 16 - own * all_tiles;
    float sum = 0;
    if (e < num_elements) {
      const float* part = parts + (own * kWorkers * all_tiles + tile) * 16 + e % 16;
      float sums[4] = {};
#pragma unroll
      for (int w = 0; w < kWorkers; ++w) sums[w % 4] += part[w * all_tiles * 16];
      sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
    const int i = kRows == 8 ? 0 : tile / num_tiles;
    const int r = (tile - i * num_tiles) * 16 + e % 4 / 2 * 8 + own * kClusterBlocks + rank;
    int column;
    float scale;
    find_rank(item, first_rank + r, column, scale);
    scale *= x_scale;
    const float other = __shfl_xor_sync(0xffffffff, sum, 1);
    if (e >= num_elements || r >= ranks) continue;
    const bool odd = e % 2 != 0;
    const uint32_t pair = to_f16_pair(scale * (odd ? other : sum), scale * (odd ? sum : other));
    const uint32_t to = v + (column * v_stride + i * 8 + e % 16 / 4 * 2) * 2;
    // Both threads of the pair have it: each serves half of the blocks.
#pragma unroll
    for (int b = 0; b < kClusterBlocks; b += 2) {
      if (kClusterBlocks == 1 && odd) break;
      const int block = b + odd;
      send(cluster_address(to, block), pair, cluster_address(barrier, block));
    }
  }
}

}  // namespace sgmv
