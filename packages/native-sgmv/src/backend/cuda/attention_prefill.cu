#include <algorithm>
#include <type_traits>

#include "backend/cuda/prefill_tile.cuh"

// FLOPs: 4 * head_dim for each pair of a query head and a key it sees, on the tensor cores. Bytes:
// each block of query rows reads the keys before it once, mostly from L2.

namespace sgmv {
namespace {

constexpr int kWarps = kPrefillBlockRows / kTileRows;
constexpr int kStages = 3;

// This thread's two rows of q: of all pairs of a row of the sequence and a head of the KV head.
struct QueryRows {
  int row[2];  // of the sequence
  int head[2];
  bool exists[2];

  __device__ QueryRows(const AttentionArgs& args, const AttentionSequence& sequence, int first,
                       int kv_head, int lane) {
    const int heads_per_kv = args.num_heads / args.kv.num_kv_heads;
    for (int h = 0; h < 2; ++h) {
      const int index = first + lane / 4 + h * 8;
      row[h] = index / heads_per_kv;
      head[h] = kv_head * heads_per_kv + index % heads_per_kv;
      exists[h] = row[h] < sequence.num_rows;
    }
  }
};

// Grid: (blocks of kPrefillBlockRows query rows of all sequences, KV heads). The warps of a block
// share the tiles of keys and values.
template <int kDim>
__global__ void __launch_bounds__(kWarps* kWarpSize)
    prefill_kernel(const __grid_constant__ AttentionArgs args) {
  extern __shared__ __align__(128) uint8_t shared[];
  begin_kernel();
  const int lane = threadIdx.x % kWarpSize;
  const int warp = threadIdx.x / kWarpSize;
  const int kv_head = blockIdx.y;
  const int heads_per_kv = args.num_heads / args.kv.num_kv_heads;
  const AttentionSequence sequence =
      args.sequences[find_sequence(args.sequences, *args.num_sequences, blockIdx.x)];
  const int block_first = (blockIdx.x - sequence.first_task) * kPrefillBlockRows;
  const int first_position = sequence.context_len - sequence.num_rows;
  const QueryRows rows(args, sequence, block_first + warp * kTileRows, kv_head, lane);

  QueryTile<kDim> q;
  VisibleKeys visible{};
  const float* q_rows[2];
  for (int h = 0; h < 2; ++h) {
    q_rows[h] = nullptr;
    if (!rows.exists[h]) continue;
    q_rows[h] = args.q + static_cast<int64_t>(sequence.first_row + rows.row[h]) * args.q_stride +
                rows.head[h] * args.head_dim;
    visible.begin[h] = first_visible(first_position + rows.row[h], args.sliding_window);
    visible.end[h] = first_position + rows.row[h] + 1;
  }
  q.load(q_rows, args.head_dim, lane);
  const float scale = kLog2E * rsqrtf(static_cast<float>(args.head_dim));

  const int last_row =
      min((block_first + kPrefillBlockRows - 1) / heads_per_kv, sequence.num_rows - 1);
  const int end_key = first_position + last_row + 1;
  const int first_key =
      first_visible(first_position + block_first / heads_per_kv, args.sliding_window) / kTileKeys *
      kTileKeys;
  const uint32_t ring = shared_address(shared);
  const auto start = [&](int tile) {
    const int key = first_key + tile * kTileKeys;
    if (key >= end_key) {
      asm volatile("cp.async.commit_group;" ::: "memory");
      return;
    }
    start_tile<kDim, kTileKeys>(ring + tile % kStages * kTileBytes<kDim, kTileKeys>, args.kv,
                                args.pages + sequence.first_page, key, end_key, args.layer, kv_head,
                                warp * (kTileKeys / kWarps), kTileKeys / kWarps, lane);
  };
  for (int i = 0; i < kStages - 1; ++i) start(i);

  RowSums<kDim> total, sums;
  total.clear();
  sums.clear();
  int tile = 0;
  for (int key = first_key; key < end_key; key += kTileKeys, ++tile) {
    wait_copies<kStages - 2>();
    __syncthreads();
    start(tile + kStages - 1);
    add_tile<kDim>(sums, q, ring + tile % kStages * kTileBytes<kDim, kTileKeys>, key, visible,
                   scale, lane);
    const int next = key + kTileKeys;
    if (next % kChunkKeys == 0 || next >= end_key) {
      total.add(sums);
      sums.clear();
    }
  }

#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if (!rows.exists[h]) continue;
    f16* y = args.y + static_cast<int64_t>(sequence.first_row + rows.row[h]) * args.y_stride +
             rows.head[h] * args.head_dim;
    const float inverse = 1 / total.weight(h);
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n) {
      store_pair(y, n * 8 + lane % 4 * 2, args.head_dim, total.o[n][2 * h] * inverse,
                 total.o[n][2 * h + 1] * inverse);
    }
  }
}

template <int kDim>
auto prepared_kernel() {
  static const auto kernel = [] {
    CUDA_CHECK(cudaFuncSetAttribute(prefill_kernel<kDim>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    kStages * kTileBytes<kDim, kTileKeys>));
    return prefill_kernel<kDim>;
  }();
  return kernel;
}

}  // namespace

void launch_attention_prefill(const AttentionArgs& args, int num_tasks, cudaStream_t stream) {
  if (num_tasks == 0) return;
  for_width(args.head_dim, [&](auto dim) {
    launch(prepared_kernel<dim>(), dim3(num_tasks, args.kv.num_kv_heads), kWarps * kWarpSize,
           kStages * kTileBytes<dim, kTileKeys>, stream, args);
  });
}

}  // namespace sgmv
