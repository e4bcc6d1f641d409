#include "backend/cuda/sgmv.h"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/sgmv_exchange.cuh"
#include "backend/cuda/sgmv_expand.cuh"
#include "backend/cuda/sgmv_shrink.cuh"

// Model, for n segments of together T rows, R the sum of a group's ranks:
//   bytes = 2 sum over segments of (R d_in + sum of rank d_out) + 2 T d_in + 4 T sum of d_out
//   FLOPs = 2 T (R d_in + sum of rank d_out)
// At decode there are 1 to 32 FLOPs a byte: the bytes are all that counts, and beside them the time
// from the activations' arrival to the last store, since the next kernel waits for it.

namespace sgmv {
namespace {

// Grid: clusters of kClusterBlocks blocks, one cluster for each item of the plan. A cluster
// computes v for its rows, its warps sharing d_in, sums their parts through its shared memory, and
// computes its slice of y, its warps sharing the outputs. So v never leaves the chip, and a group
// is one launch.
//
// How d_in is shared and in which order the parts are summed depends on the sizes of the group and
// the ranks of the adapter alone: that makes a row's result independent of its neighbours.
template <int kRows>
__global__ void __launch_bounds__(kThreads, kRows == kDecodeRows ? 3 : 1)
    sgmv_kernel(const __grid_constant__ SgmvLaunch p) {
  using Layout = SharedLayout<kRows>;
  extern __shared__ __align__(128) uint8_t shared[];

  const int cluster = blockIdx.x / kClusterBlocks;
  const SgmvItem item = p.items[cluster];
  const int warp = uniform(threadIdx.x / 32);
  const int lane = threadIdx.x % 32;
  const int rank = cluster_rank();
  const int worker = rank * kWarps + warp;
  const uint32_t base = shared_address(shared);
  const uint32_t chunk_barriers = base + Layout::kChunkBarriers + warp * kDepth * 8;
  const uint32_t parts_barrier = base + Layout::kPartsBarrier;
  const uint32_t v_barrier = base + Layout::kVBarrier;
  if (lane == 0) WeightStream::init_barriers(chunk_barriers);
  if (threadIdx.x == 0) {
    init_byte_barrier(parts_barrier);
    init_byte_barrier(v_barrier);
  }
  if (lane == 0) publish_byte_barriers();
  __syncwarp();

  if (item.num_rows == 0) {
    // One block must wait, or this grid could be complete before the ones it follows.
    if (cluster == 0) wait_for_previous_kernels();
    return;
  }
  const BlockRange in = share_of(divide_up(p.group.d_in, 8 * kBlockOctets), worker, 0);
  int out_blocks = 0;
  for (int m = 0; m < p.group.num_modules; ++m) out_blocks += module_blocks(p.group, item, m);
  const BlockRange out = share_of(out_blocks, item.slice * kWorkers + worker, item.log2_slices);
  WeightStream stream(p.group, item, in, out, base + warp * kDepth * kChunkUnits * 16,
                      chunk_barriers);

  const int num_ranks = stack_rank(item);
  const int padded =
      padded_rank(item.rank[0]) + padded_rank(item.rank[1]) + padded_rank(item.rank[2]);
  const int v_stride = kRows == 8 || padded > kPrefillRank ? 8 : kWideVStride;
  const int row_tiles = divide_up(item.num_rows, 8);
  if (threadIdx.x == 0) expect_bytes(v_barrier, num_ranks * row_tiles * 16);
  for (int i = threadIdx.x; i < padded * v_stride / 8; i += kThreads) {
    reinterpret_cast<uint4*>(shared + Layout::kV)[i] = make_uint4(0, 0, 0, 0);
  }
  __syncthreads();
  cluster_arrive();
  const XReader<kRows> reader(p, item, lane);
  if (!p.with_product) wait_for_previous_kernels();

  uint32_t parity = 0;
  for (int first_rank = 0; first_rank < num_ranks; first_rank += kPanelRanks) {
    const int ranks = min(kPanelRanks, num_ranks - first_rank);
    const int num_tiles = divide_up(ranks, 16);
    if (threadIdx.x == 0) {
      expect_bytes(parts_barrier, 8 / kClusterBlocks * kWorkers * num_tiles * row_tiles * 64);
    }
    float acc[kPanelTiles][kRows / 8][4] = {};
    shrink_panel<kRows>(acc, p, item, reader, stream, in, ranks, lane);
    cluster_wait();  // every block has started, and is done with the parts of the panel before
    send_parts<kRows>(acc, base + Layout::kParts, parts_barrier, num_tiles, item.num_rows, worker,
                      lane);
    wait_for_bytes(parts_barrier, parity);
    sum_parts<kRows>(shared, item, p.x_scale, first_rank, ranks, v_stride, rank);
    parity ^= 1;
    if (first_rank + kPanelRanks < num_ranks) cluster_arrive();
  }
  wait_for_bytes(v_barrier, 0);
  // The next kernel begins by fetching weights, which should not hold up these.
  allow_next_kernel();
  expand<kRows>(p, item, stream, out, base + Layout::kV, v_stride, lane);
  // What follows relies on this grid to be complete no sooner than the product, for which one
  // cluster suffices: the others make room for those that have yet to start.
  if (p.with_product && cluster == 0) wait_for_previous_kernels();
}

// The kernel for up to kRows rows an item, set up once for the device.
template <int kRows>
auto prepared_kernel() {
  static const auto kernel = [] {
    CUDA_CHECK(cudaFuncSetAttribute(sgmv_kernel<kRows>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    SharedLayout<kRows>::kBytes));
    prefer_shared_memory(sgmv_kernel<kRows>);
    return sgmv_kernel<kRows>;
  }();
  return kernel;
}

template <int kRows>
void launch(const SgmvLaunch& p, int num_items, SgmvStart start, cudaStream_t stream) {
  const int blocks = has_clusters() ? kClusterBlocks : 1;
  cudaLaunchAttribute attributes[2];
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {static_cast<unsigned>(blocks), 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = start != SgmvStart::kInOrder;

  cudaLaunchConfig_t config{};
  config.gridDim = dim3(num_items * blocks);
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = SharedLayout<kRows>::kBytes;
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = has_clusters() ? 2 : 0;
  CUDA_CHECK(cudaLaunchKernelEx(&config, prepared_kernel<kRows>(), p));
}

}  // namespace

void launch_sgmv(const SgmvPlan& plan, const SgmvGroups& groups, int layer, Group group, Matrix x,
                 Matrix y, SgmvStart start, cudaStream_t stream) {
  const int num_items = sgmv_max_items(plan.max_rows, plan.max_segments);
  const int index = layer * kNumGroups + static_cast<int>(group);
  const SgmvLaunch p{groups[static_cast<int>(group)],
                     static_cast<const SgmvItem*>(plan.memory) + int64_t{index} * num_items,
                     static_cast<const __half*>(x.data),
                     static_cast<float*>(y.data),
                     x.scale,
                     x.stride,
                     y.stride,
                     start == SgmvStart::kWithProduct};
  if (sgmv_block_rows(plan) == kDecodeRows) {
    launch<kDecodeRows>(p, num_items, start, stream);
  } else {
    launch<kPrefillRows>(p, num_items, start, stream);
  }
}

}  // namespace sgmv
