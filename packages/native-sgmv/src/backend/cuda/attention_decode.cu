#include <algorithm>
#include <type_traits>

#include "backend/cuda/decode_items.cuh"

// Bytes: every key and value of every sequence once, 2 * 2 * head_dim a token and KV head; beside
// them the sums of chunks, which stay in L2. FLOPs: 4 * head_dim * heads a token, on the tensor
// cores at a small part of their rate, so that memory is all that counts.

namespace sgmv {
namespace {

// As many as fill the memory; more would leave no room for the next kernel to fetch its weights.
constexpr int kMaxWarps = 8;

struct DecodeLaunch {
  AttentionArgs args;
  AttentionScratch scratch;
};

// The query heads of an item, counted within its tile.
struct Heads {
  int first;  // of the tile, of all query heads
  int count;

  __device__ Heads(const QueryTiles& tiles, int heads_per_kv, const Item& item)
      : first(item.kv_head * heads_per_kv + item.tile * tiles.rows),
        count(min(tiles.rows, heads_per_kv - item.tile * tiles.rows)) {}
};

template <int kDim>
__device__ void store_outputs(const AttentionArgs& args, const HeadSums<kDim>& sums,
                              const Item& item, const Heads& heads, int lane) {
  const int head = lane / 4;
  f16* y = args.y + static_cast<int64_t>(item.sequence.first_row) * args.y_stride +
           (heads.first + head) * args.head_dim;
  const float inverse[2] = {1 / sums.weight(0), 1 / sums.weight(1)};
#pragma unroll
  for (int n = 0; n < kDim / 16; ++n) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint32_t pair =
          transpose(to_f16_pair(sums.o[n][2 * i] * inverse[0], sums.o[n][2 * i + 1] * inverse[1]));
      const int col = n * 16 + i * 8 + lane % 4 * 2;
      if (head < heads.count && col < args.head_dim) *reinterpret_cast<uint32_t*>(y + col) = pair;
    }
  }
}

// Calls f(sums, scratch) for each of this thread's sums of heads that exist, where scratch is its
// place in the item's.
template <int kDim, typename Sums, typename F>
__device__ void for_sums(const AttentionScratch& scratch, const QueryTiles& tiles, Sums& sums,
                         int item, const Heads& heads, int lane, F f) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int head = lane % 4 * 2 + h;
    if (head >= heads.count) continue;
    float* row = scratch.sums + (static_cast<int64_t>(item) * tiles.rows + head) * (kDim + 2);
#pragma unroll
    for (int n = 0; n < kDim / 16; ++n) {
      f(sums.o[n][h], row + n * 16 + lane / 4);
      f(sums.o[n][h + 2], row + n * 16 + 8 + lane / 4);
    }
  }
}

template <int kDim>
__device__ void store_sums(const AttentionScratch& scratch, const QueryTiles& tiles,
                           const HeadSums<kDim>& sums, int item, const Heads& heads, int lane) {
  for_sums<kDim>(scratch, tiles, sums, item, heads, lane,
                 [](float sum, float* to) { __stcg(to, sum); });
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int head = lane % 4 * 2 + h;
    if (head >= heads.count || lane >= 4) continue;
    float* row = scratch.sums + (static_cast<int64_t>(item) * tiles.rows + head) * (kDim + 2);
    __stcg(reinterpret_cast<float2*>(row + kDim),
           make_float2(sums.weight(h), static_cast<float>(sums.max[h])));
  }
}

template <int kDim>
__device__ void load_sums(const AttentionScratch& scratch, const QueryTiles& tiles,
                          HeadSums<kDim>& sums, int item, const Heads& heads, int lane) {
  sums.clear();
  for_sums<kDim>(scratch, tiles, sums, item, heads, lane,
                 [](float& sum, const float* from) { sum = __ldcg(from); });
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int head = lane % 4 * 2 + h;
    if (head >= heads.count) continue;
    const float* row = scratch.sums + (static_cast<int64_t>(item) * tiles.rows + head) * (kDim + 2);
    const float2 last = __ldcg(reinterpret_cast<const float2*>(row + kDim));
    sums.weights[h] = sums.weights[h + 2] = last.x;
    sums.max[h] = static_cast<int>(last.y);
  }
}

// Counts `num_chunks` sums as there; whether all chunks of the item's queries now are.
__device__ bool arrive(const AttentionScratch& scratch, const AttentionArgs& args,
                       const QueryTiles& tiles, const Item& item, int num_chunks, int lane) {
  __threadfence();
  __syncwarp();
  uint32_t* arrived =
      scratch.arrived +
      (static_cast<int64_t>(item.sequence_index) * args.kv.num_kv_heads + item.kv_head) *
          tiles.count +
      item.tile;
  uint32_t before = 0;
  if (lane == 0) {
    before = atomicAdd(arrived, num_chunks);
    if (before + num_chunks == item.num_chunks) *arrived = 0;
  }
  before = __shfl_sync(kAllLanes, before, 0);
  __threadfence();
  return before + num_chunks == item.num_chunks;
}

// Grid: (any). Each warp has an equal share of the items: the number of warps is the GPU's, the
// number of items the batch's, so that a graph fits every batch. Chunks are added up in their
// order, by the warp that has them all, or else by the last to finish.
template <int kDim>
__global__ void __launch_bounds__(kMaxWarps* kWarpSize, 1)
    decode_kernel(const __grid_constant__ DecodeLaunch p) {
  extern __shared__ __align__(128) uint8_t shared[];
  allow_next_kernel();
  const AttentionArgs& args = p.args;
  const int lane = threadIdx.x % kWarpSize;
  const int warp = threadIdx.x / kWarpSize;
  const int num_warps = blockDim.x / kWarpSize;
  const int heads_per_kv = args.num_heads / args.kv.num_kv_heads;
  const float scale = kLog2E * rsqrtf(static_cast<float>(args.head_dim));
  const Items items(args);
  const int part = blockIdx.x * num_warps + warp;
  const int begin = items.begin_of(part, gridDim.x * num_warps);
  const int end = items.begin_of(part + 1, gridDim.x * num_warps);
  TileStream<kDim> stream(args, items,
                          shared_address(shared) + warp * kStages * kTileBytes<kDim, kDecodeKeys>,
                          begin, end);
  wait_for_previous_kernels();

  HeadSums<kDim> total;
  for (int index = begin; index < end; ++index) {
    const Item item = items.at(index);
    const Heads heads(items.tiles(), heads_per_kv, item);
    QueryHeads<kDim> q;
    const float* row = args.q + static_cast<int64_t>(item.sequence.first_row) * args.q_stride;
    const bool has_head = lane / 4 < heads.count;
    q.load(has_head ? row + (heads.first + lane / 4) * args.head_dim : nullptr, args.head_dim,
           lane);
    const int context_len = item.sequence.context_len;
    const int first_key = first_visible(context_len - 1, args.sliding_window);

    HeadSums<kDim> sums;
    sums.clear();
    for (int key = item.first_key; key < item.end_key; key += kDecodeKeys) {
      add_keys<kDim>(sums, q, stream.front(), key, first_key, context_len, scale, lane);
      stream.pop();
    }
    if (item.first() >= begin && item.end() <= end) {
      if (item.chunk == 0) total.clear();
      total.add(sums);
      if (index + 1 < item.end()) continue;
    } else {
      store_sums<kDim>(p.scratch, items.tiles(), sums, index, heads, lane);
      const int last = min(item.end(), end) - 1;
      if (index < last) continue;
      const int num_own = last + 1 - max(item.first(), begin);
      if (!arrive(p.scratch, args, items.tiles(), item, num_own, lane)) continue;
      total.clear();
      for (int other = item.first(); other < item.end(); ++other) {
        load_sums<kDim>(p.scratch, items.tiles(), sums, other, heads, lane);
        total.add(sums);
      }
    }
    store_outputs<kDim>(args, total, item, heads, lane);
  }
}

struct Device {
  int num_sms;
  int shared_bytes;  // that a block can have
};

const Device& device() {
  static const Device result = [] {
    Device d{};
    int id = 0;
    CUDA_CHECK(cudaGetDevice(&id));
    CUDA_CHECK(cudaDeviceGetAttribute(&d.num_sms, cudaDevAttrMultiProcessorCount, id));
    CUDA_CHECK(
        cudaDeviceGetAttribute(&d.shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, id));
    return d;
  }();
  return result;
}

template <int kDim>
int num_warps() {
  return std::clamp(device().shared_bytes / (kStages * kTileBytes<kDim, kDecodeKeys>), 1,
                    kMaxWarps);
}

// The kernel, set up once for the device.
template <int kDim>
auto prepared_kernel() {
  static const auto kernel = [] {
    CUDA_CHECK(cudaFuncSetAttribute(decode_kernel<kDim>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    num_warps<kDim>() * kStages * kTileBytes<kDim, kDecodeKeys>));
    return decode_kernel<kDim>;
  }();
  return kernel;
}

}  // namespace

size_t attention_scratch_floats(int num_tasks, int num_heads, int num_kv_heads, int head_dim) {
  const QueryTiles tiles(num_heads / num_kv_heads);
  size_t width = 0;
  for_width(head_dim, [&](auto dim) { width = dim + 2; });
  return static_cast<size_t>(num_tasks) * num_kv_heads * tiles.count * tiles.rows * width;
}

void launch_attention_decode(const AttentionArgs& args, const AttentionScratch& scratch,
                             cudaStream_t stream) {
  for_width(args.head_dim, [&](auto dim) {
    const int warps = num_warps<dim>();
    launch(prepared_kernel<dim>(), dim3(device().num_sms), warps * kWarpSize,
           warps * kStages * kTileBytes<dim, kDecodeKeys>, stream, DecodeLaunch{args, scratch});
  });
}

}  // namespace sgmv
