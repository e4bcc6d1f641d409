#pragma once

#include "backend/cuda/sgmv_plan.h"
#include "backend/cuda/sgmv_ptx.cuh"

namespace sgmv {

constexpr int kWarps = 6;        // of a block
constexpr int kDepth = 2;        // chunks that each warp keeps in flight
constexpr int kBlockOctets = 4;  // a block of d_in or d_out is 32 elements, 4 units
constexpr int kChunkUnits = kBlockOctets * kPanelRanks;  // of 16 bytes, at most

// Blocks [begin, end) of d_in or of d_out.
struct BlockRange {
  int begin;
  int end;
};

constexpr int kWorkers = kWarps * kClusterBlocks;  // warps of a cluster

// The part of `count` blocks that worker `worker` of kWorkers << log2_slices does.
__device__ inline BlockRange share_of(int count, int worker, int log2_slices) {
  return {worker * count / kWorkers >> log2_slices, (worker + 1) * count / kWorkers >> log2_slices};
}

__host__ __device__ constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }

__device__ inline int rank_of(const SgmvItem& item, int m) {
  return m == 0 ? item.rank[0] : m == 1 ? item.rank[1] : item.rank[2];
}

__device__ inline int chunk_blocks_out(const SgmvItem& item, int m) {
  return m == 0   ? item.chunk_blocks_out[0]
         : m == 1 ? item.chunk_blocks_out[1]
                  : item.chunk_blocks_out[2];
}

__device__ inline int stack_rank(const SgmvItem& item) {
  return item.rank[0] + item.rank[1] + item.rank[2];
}

// Blocks of 32 outputs of module m; none if the adapter does not target it.
__device__ inline int module_blocks(const SgmvGroup& group, const SgmvItem& item, int m) {
  return rank_of(item, m) == 0 ? 0 : divide_up(group.d_out[m], 8 * kBlockOctets);
}

// The part of `blocks`, counted over all modules, that falls into the `count` blocks from `first`,
// counted from there.
__device__ inline BlockRange within(BlockRange blocks, int first, int count) {
  return {min(max(blocks.begin - first, 0), count), min(max(blocks.end - first, 0), count)};
}

// A contiguous run of chunks.
struct Run {
  int first = 0;  // unit, from the group's A on
  int units = 0;
  int chunk = 0;   // units of a chunk
  int rank = 0;    // of a B with several panels, else 0
  int octets = 0;  // of the B
};

// The A and then the B that one warp multiplies, in the order of their use, in chunks that are
// copied ahead to a ring of kDepth slots of the warp's own: while the kernel before still runs,
// while x is on its way, and B while the parts of v are summed.
class WeightStream {
 public:
  __device__ WeightStream(const SgmvGroup& group, const SgmvItem& item, BlockRange in,
                          BlockRange out, uint32_t ring, uint32_t barriers)
      : weights_(item.weights), ring_(ring), barriers_(barriers) {
    // The first panel at once, since its copies can be under way while the rest is worked out.
    begin_run(panel_run(group, item, in, 0));
    int slot = 0;
#pragma unroll 1
    for (; slot < kDepth && left_ > 0; ++slot) refill(slot);

    const int lane = threadIdx.x % 32;
    run_ = lane < kMaxPanels ? panel_run(group, item, in, lane)
                             : module_run(group, item, out, lane - kMaxPanels);
    runs_ = __ballot_sync(0xffffffff, run_.units > 0) & ~1u;
#pragma unroll 1
    for (; slot < kDepth; ++slot) refill(slot);
  }

  // To be called by one thread of the warp, before the stream is made.
  __device__ static void init_barriers(uint32_t barriers) {
    for (int i = 0; i < kDepth; ++i) init_byte_barrier(barriers + i * 8);
  }

  // The shared address of the oldest chunk, once it has arrived.
  __device__ uint32_t front() const {
    wait_copy<kDepth>(barriers_ + slot_ * 8, parity_);
    return ring_ + slot_ * kChunkUnits * 16;
  }

  // Gives the place of the oldest chunk to the next to be copied.
  __device__ void pop() {
    __syncwarp();
    refill(slot_);
    if (++slot_ == kDepth) {
      slot_ = 0;
      parity_ ^= 1;
    }
  }

 private:
  static constexpr int kMaxPanels = kMaxPaddedRank / kPanelRanks;
  static_assert(kMaxPanels + kMaxGroupModules <= 32, "every run has a lane that works it out");

  __device__ static Run panel_run(const SgmvGroup& group, const SgmvItem& item, BlockRange in,
                                  int panel) {
    const int first_rank = panel * kPanelRanks;
    const int ranks = min(kPanelRanks, stack_rank(item) - first_rank);
    const int octets = group.d_in / 8;
    Run run;
    if (ranks <= 0) return run;
    run.first = octets * first_rank + in.begin * kBlockOctets * ranks;
    run.units = (min(in.end * kBlockOctets, octets) - in.begin * kBlockOctets) * ranks;
    run.chunk = (ranks == kPanelRanks ? 1 : item.chunk_blocks_in) * kBlockOctets * ranks;
    return run;
  }

  __device__ static Run module_run(const SgmvGroup& group, const SgmvItem& item, BlockRange out,
                                   int module) {
    Run run;
    if (module >= group.num_modules) return run;
    int first_block = 0;
    run.first = group.d_in / 8 * stack_rank(item);
    for (int m = 0; m < module; ++m) {
      run.first += group.d_out[m] / 8 * rank_of(item, m);
      first_block += module_blocks(group, item, m);
    }
    const int rank = rank_of(item, module);
    const BlockRange blocks = within(out, first_block, module_blocks(group, item, module));
    run.octets =
        min(blocks.end * kBlockOctets, group.d_out[module] / 8) - blocks.begin * kBlockOctets;
    run.first += blocks.begin * kBlockOctets * rank;
    run.units = run.octets * rank;
    run.chunk = chunk_blocks_out(item, module) * kBlockOctets * rank;
    run.rank = rank > kPanelRanks ? rank : 0;
    return run;
  }

  __device__ void refill(int slot) {
    if (left_ == 0 && runs_ != 0) begin_next_run();
    if (left_ > 0) {
      const int units = wide_rank_ == 0 ? min(chunk_, left_) : next_panel();
      start_copy(ring_ + slot * kChunkUnits * 16, from_, units, barriers_ + slot * 8);
      from_ += units;
      left_ -= units;
    }
    commit_copy();
  }

  __device__ void begin_next_run() {
    const int lane = __ffs(runs_) - 1;
    runs_ &= runs_ - 1;
    Run run;
    run.first = __shfl_sync(0xffffffff, run_.first, lane);
    run.units = __shfl_sync(0xffffffff, run_.units, lane);
    run.chunk = __shfl_sync(0xffffffff, run_.chunk, lane);
    run.rank = __shfl_sync(0xffffffff, run_.rank, lane);
    run.octets = __shfl_sync(0xffffffff, run_.octets, lane);
    begin_run(run);
  }

  __device__ void begin_run(const Run& run) {
    from_ = weights_ + run.first;
    left_ = run.units;
    chunk_ = run.chunk;
    wide_rank_ = run.rank;
    octets_left_ = run.octets;
    panel_ = 0;
  }

  // Units of the next panel of a B with several.
  __device__ int next_panel() {
    const int octets = min(kBlockOctets, octets_left_);
    const int ranks = min(kPanelRanks, wide_rank_ - panel_);
    panel_ += kPanelRanks;
    if (panel_ >= wide_rank_) {
      panel_ = 0;
      octets_left_ -= kBlockOctets;
    }
    return octets * ranks;
  }

  const uint4* weights_;
  uint32_t ring_;
  uint32_t barriers_;
  Run run_;            // the one that this lane knows
  uint32_t runs_ = 0;  // the lanes whose run is still to come
  const uint4* from_ = nullptr;
  int left_ = 0;  // units of the run in work, and what else there is to know of it
  int chunk_ = 0;
  int wide_rank_ = 0;
  int octets_left_ = 0;
  int panel_ = 0;
  int slot_ = 0;
  uint32_t parity_ = 0;
};

}  // namespace sgmv
