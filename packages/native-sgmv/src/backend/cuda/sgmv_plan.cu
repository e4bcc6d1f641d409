#include "backend/cuda/cuda_check.h"
#include "backend/cuda/sgmv_plan.h"

namespace sgmv {
namespace {

constexpr int kThreads = 128;

// Inclusive sum of `value` over the threads of the block before and up to this one.
__device__ int block_scan(int value, int (&shared)[kThreads]) {
  __syncthreads();
  shared[threadIdx.x] = value;
  for (int step = 1; step < kThreads; step *= 2) {
    __syncthreads();
    const int other = threadIdx.x >= step ? shared[threadIdx.x - step] : 0;
    __syncthreads();
    shared[threadIdx.x] += other;
  }
  __syncthreads();
  return shared[threadIdx.x];
}

struct SegmentWork {
  SgmvEntry entry;
  const uint8_t* adapter;
  int row;
  int num_rows;
  int block_rows;
  int num_blocks;  // 0: no rows, no adapter, or no module of the group targeted
};

__device__ SegmentWork segment_work(const SgmvBatch& batch, int i, int num_segments, int group,
                                    int block_rows) {
  SegmentWork work{};
  if (i >= num_segments) return work;
  work.row = batch.s[i];
  work.num_rows = batch.s[i + 1] - work.row;
  work.adapter = static_cast<const uint8_t*>(batch.adapters[i]);
  if (work.adapter == nullptr || work.num_rows == 0) return work;
  work.entry = reinterpret_cast<const SgmvEntry*>(work.adapter)[group];
  int rank = 0;
  for (int m = 0; m < kMaxGroupModules; ++m) rank += padded_rank(work.entry.rank[m]);
  if (rank == 0) return work;
  work.block_rows = rank <= kPrefillRank ? block_rows : kDecodeRows;
  work.num_blocks = (work.num_rows + work.block_rows - 1) / work.block_rows;
  return work;
}

// Blocks of 32 in a chunk: as many as fit, one if there are several panels.
__device__ int blocks_per_chunk(int ranks) {
  return ranks == 0 || ranks > kPanelRanks ? 1 : kPanelRanks / ranks;
}

__device__ SgmvItem make_item(const SegmentWork& work, int block, int slice, int log2_slices) {
  SgmvItem item{};
  item.weights = reinterpret_cast<const uint4*>(work.adapter) + work.entry.offset;
  item.row = work.row + block * work.block_rows;
  item.num_rows = min(work.block_rows, work.num_rows - block * work.block_rows);
  item.slice = slice;
  item.log2_slices = log2_slices;
  int rank = 0;
  for (int m = 0; m < kMaxGroupModules; ++m) {
    rank += work.entry.rank[m];
    item.chunk_blocks_out[m] = blocks_per_chunk(work.entry.rank[m]);
    item.rank[m] = work.entry.rank[m];
    item.scale[m] = work.entry.scale[m];
  }
  item.chunk_blocks_in = blocks_per_chunk((rank - 1) % kPanelRanks + 1);
  return item;
}

// Bit m: the adapter of row t targets module m of the group.
__device__ uint8_t target_bits(const SgmvBatch& batch, int num_segments, int group, int t) {
  if (t >= batch.s[num_segments]) return 0;
  int i = 0;  // the last segment that begins at t or before
  for (int end = num_segments; end - i > 1;) {
    const int middle = (i + end) / 2;
    (batch.s[middle] <= t ? i : end) = middle;
  }
  if (batch.adapters[i] == nullptr) return 0;
  const SgmvEntry& entry = static_cast<const SgmvEntry*>(batch.adapters[i])[group];
  int bits = 0;
  for (int m = 0; m < kMaxGroupModules; ++m) bits |= (entry.rank[m] != 0) << m;
  return static_cast<uint8_t>(bits);
}

// Grid: (layers * groups). Cuts every segment that has an adapter into blocks of rows, and these
// into as many slices of the outputs, a power of two, as make min_items items. Segments without
// work take no item. `targets` is [layers * groups, max_rows].
__global__ void plan_kernel(SgmvItem* items, int max_items, int min_items, int block_rows,
                            uint8_t* targets, int max_rows, SgmvBatch batch) {
  __shared__ int shared[kThreads];
  const int group = blockIdx.x;
  SgmvItem* out = items + static_cast<int64_t>(group) * max_items;
  const int num_segments = *batch.num_segments;

  int total = 0;
  for (int first = 0; first < num_segments; first += kThreads) {
    const int i = first + threadIdx.x;
    total += segment_work(batch, i, num_segments, group, block_rows).num_blocks;
  }
  block_scan(total, shared);
  total = shared[kThreads - 1];
  int log2_slices = 0;
  while (total > 0 && total << log2_slices < min_items) ++log2_slices;

  int done = 0;
  for (int first = 0; first < num_segments; first += kThreads) {
    const SegmentWork work =
        segment_work(batch, first + threadIdx.x, num_segments, group, block_rows);
    const int begin = done + block_scan(work.num_blocks, shared) - work.num_blocks;
    for (int block = 0; block < work.num_blocks; ++block) {
      for (int slice = 0; slice < 1 << log2_slices; ++slice) {
        out[((begin + block) << log2_slices) + slice] = make_item(work, block, slice, log2_slices);
      }
    }
    done += shared[kThreads - 1];
  }
  for (int i = (total << log2_slices) + threadIdx.x; i < max_items; i += kThreads)
    out[i].num_rows = 0;
  for (int t = threadIdx.x; t < max_rows; t += kThreads) {
    targets[static_cast<int64_t>(group) * max_rows + t] =
        target_bits(batch, num_segments, group, t);
  }
}

// The plan's memory holds the items, then the targets.
size_t item_bytes(int num_layers, int max_rows, int max_segments) {
  return sizeof(SgmvItem) * num_layers * kNumGroups * sgmv_max_items(max_rows, max_segments);
}

uint8_t* targets_of(const SgmvPlan& plan) {
  return static_cast<uint8_t*>(plan.memory) +
         item_bytes(plan.num_layers, plan.max_rows, plan.max_segments);
}

}  // namespace

bool has_clusters() {
  static const bool result = [] {
    cudaFuncAttributes attributes;
    CUDA_CHECK(cudaFuncGetAttributes(&attributes, plan_kernel));
    return attributes.ptxVersion >= 90;
  }();
  return result;
}

size_t sgmv_plan_bytes(int num_layers, int max_rows, int max_segments) {
  return item_bytes(num_layers, max_rows, max_segments) +
         size_t{1} * num_layers * kNumGroups * max_rows;
}

const uint8_t* sgmv_targets(const SgmvPlan& plan, int layer, Group group) {
  const int index = layer * kNumGroups + static_cast<int>(group);
  return targets_of(plan) + int64_t{index} * plan.max_rows;
}

void launch_sgmv_plan(const SgmvPlan& plan, const SgmvGroups&, const SgmvBatch& batch,
                      cudaStream_t stream) {
  plan_kernel<<<plan.num_layers * kNumGroups, kThreads, 0, stream>>>(
      static_cast<SgmvItem*>(plan.memory), sgmv_max_items(plan.max_rows, plan.max_segments),
      sgmv_min_items(), sgmv_block_rows(plan), targets_of(plan), plan.max_rows, batch);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace sgmv
