#include "backend/cuda/skinny_product.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "backend/cuda/launch.cuh"
#include "backend/cuda/skinny_ring.cuh"

// Bytes: 2 * num_outputs * num_inputs of weights, once; x from L2, once for each block. FLOPs:
// 2 * num_rows for each of the weights' elements, at most 32 a byte, a fraction of what the tensor
// cores do in that time.

namespace sgmv {
namespace {

// A warp's operands of half a chunk: 16 outputs of a tile, and 8 * kOctets rows of x.
template <int kOctets>
struct Operands {
  static constexpr int kSteps = kChunkInputs / 32;
  uint4 w[kSteps];
  uint2 x[kSteps][kOctets];

  // `tile` and `rows` are where this lane's first octets are in the stage. Stages begin at
  // multiples of 1024, so the octets of a step are at a distance that is an exclusive or.
  __device__ void load(uint32_t tile, uint32_t rows, int half) {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const uint32_t octets = (half * 4 + step * 2) * 16;
      w[step] = load_matrices(tile ^ octets);
      if constexpr (kOctets == 1) {
        if (step % 2 != 0) continue;
        const uint4 two = load_matrices(rows ^ octets);
        x[step][0] = make_uint2(two.x, two.y);
        x[step + 1][0] = make_uint2(two.z, two.w);
      } else {
#pragma unroll
        for (int n = 0; n < kOctets; n += 2) {
          const uint4 two = load_matrices((rows + n * 8 * kRowBytes) ^ octets);
          x[step][n] = make_uint2(two.x, two.y);
          x[step][n + 1] = make_uint2(two.z, two.w);
        }
      }
    }
  }

  // Waits for the loads.
  __device__ void complete() {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      keep(w[step].w);
#pragma unroll
      for (int n = 0; n < kOctets; ++n) keep(x[step][n].y);
    }
  }

  __device__ void multiply(float (&acc)[kOctets][4]) const {
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
#pragma unroll
      for (int n = 0; n < kOctets; ++n) {
        mma(acc[n], w[step].x, w[step].y, w[step].z, w[step].w, x[step][n].x, x[step][n].y);
      }
    }
  }
};

template <int kOctets>
__device__ inline void store_tile(const SkinnyLaunch& p, const float (&acc)[kOctets][4], int tile,
                                  int first_row, int lane) {
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    const int output = tile * kTileOutputs + h * 8 + lane / 4;
    if (output >= p.num_outputs) continue;
    const float bias = p.bias == nullptr ? 0 : p.bias[output];
#pragma unroll
    for (int n = 0; n < kOctets; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int row = first_row + n * 8 + lane % 4 * 2 + i;
        if (row >= p.num_rows) continue;
        p.y[static_cast<int64_t>(row) * p.y_stride + output] = acc[n][h * 2 + i] * p.scale + bias;
      }
    }
  }
}

// Grid: (SMs, or fewer). A block has its share of the outputs, in tiles of 16; a warp has one tile
// at a time and a group of 8 * kOctets rows, over all inputs.
template <int kOctets, int kGroups, bool kNextReadsX>
__global__ void __launch_bounds__((kMaxConsumers + 1) * 32, 1)
    skinny_kernel(const __grid_constant__ SkinnyLaunch p) {
  constexpr int kRows = 8 * kOctets * kGroups;
  extern __shared__ uint8_t shared[];
  __shared__ __align__(8) uint64_t barriers[2 * kMaxStages];
  if (!kNextReadsX) allow_next_kernel();
  const int warp = uniform(threadIdx.x / 32);
  const int lane = threadIdx.x % 32;
  const int num_consumers = p.max_tiles * kGroups;
  Ring ring;
  ring.stages = (shared_address(shared) + kAlignment - 1) / kAlignment * kAlignment;
  ring.full = shared_address(barriers);
  ring.empty = ring.full + kMaxStages * 8;
  ring.stage_bytes = p.depth * (p.max_tiles * kTileBytes + kRows * kRowBytes);
  ring.num_stages = p.num_stages;
  if (threadIdx.x == 0) {
    for (int i = 0; i < p.num_stages; ++i) {
      init_barrier(ring.full + i * 8, 1);
      init_barrier(ring.empty + i * 8, num_consumers);
    }
    publish_byte_barriers();
  }
  __syncthreads();

  if (warp == num_consumers) {
    produce<kNextReadsX>(p, ring);
  } else {
    const int in_pass = warp % p.max_tiles;
    const int first_row = warp / p.max_tiles * 8 * kOctets;
    // Where this lane's operands lie in a stage, which has the weights of its chunks and then x.
    const uint32_t tile_place = in_pass * kTileBytes + swizzled(lane % 16, lane / 16);
    const uint32_t rows_place = p.depth * p.max_tiles * kTileBytes + first_row * kRowBytes +
                                (kOctets == 1 ? swizzled(lane % 8, lane / 8)
                                              : swizzled(lane / 16 * 8 + lane % 8, lane / 8 % 2));
    for (int pass = 0; pass < p.num_passes; ++pass) {
      const TileRange tiles = tiles_of(p, pass);
      const bool has_tile = in_pass < tiles.count;
      float acc[kOctets][4] = {};
      // Operands of one half arrive while those of the other are multiplied.
      Operands<kOctets> first, second;
      ring.wait_full(ring.is_full());
      uint32_t tile = ring.tiles() + tile_place;
      uint32_t rows = ring.tiles() + rows_place;
      first.load(tile, rows, 0);
      for (int step = 1;; ++step) {
        for (int chunk = 1; chunk < p.depth; ++chunk) {
          second.load(tile, rows, 1);
          first.multiply(acc);
          tile += p.max_tiles * kTileBytes;
          rows += kRows * kRowBytes;
          first.load(tile, rows, 0);
          second.multiply(acc);
        }
        second.load(tile, rows, 1);
        const uint32_t used = ring.empty + ring.slot * 8;
        ring.advance();
        const bool is_last = step == p.num_steps;
        const bool is_full = !is_last && ring.is_full();
        first.multiply(acc);
        second.complete();
        ring.release(used, lane);
        if (is_last) break;
        ring.wait_full(is_full);
        tile = ring.tiles() + tile_place;
        rows = ring.tiles() + rows_place;
        first.load(tile, rows, 0);
        second.multiply(acc);
      }
      second.multiply(acc);
      if (has_tile) {
        store_tile<kOctets>(p, acc, tiles.first + in_pass, first_row, lane);
      }
    }
  }
}

// How the kernel of a product is launched.
struct LaunchShape {
  int num_blocks;
  int ring_bytes;
  int max_ring_bytes;  // of any product
  bool next_reads_x;
};

template <int kOctets, int kGroups, bool kNextReadsX>
auto prepared_kernel(int max_ring_bytes) {
  static const auto kernel = [&] {
    const auto result = skinny_kernel<kOctets, kGroups, kNextReadsX>;
    CUDA_CHECK(cudaFuncSetAttribute(result, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    max_ring_bytes + kAlignment));
    if (kNextReadsX) prefer_shared_memory(result);
    return result;
  }();
  return kernel;
}

template <int kOctets, int kGroups>
void launch_skinny(const SkinnyLaunch& p, const LaunchShape& shape, cudaStream_t stream) {
  const auto kernel = shape.next_reads_x
                          ? prepared_kernel<kOctets, kGroups, true>(shape.max_ring_bytes)
                          : prepared_kernel<kOctets, kGroups, false>(shape.max_ring_bytes);
  launch(kernel, dim3(shape.num_blocks), (p.max_tiles * kGroups + 1) * 32,
         shape.ring_bytes + kAlignment, stream, p);
}

void* driver_function(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult result;
#if CUDART_VERSION >= 12050
  CUDA_CHECK(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &result));
#else
  CUDA_CHECK(cudaGetDriverEntryPoint(name, &function, cudaEnableDefault, &result));
#endif
  return result == cudaDriverEntryPointSuccess ? function : nullptr;
}

int divide_up(int a, int b) { return (a + b - 1) / b; }

}  // namespace

SkinnyProduct::SkinnyProduct() {
  int device = 0;
  int major = 0;
  CUDA_CHECK(cudaGetDevice(&device));
  CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  CUDA_CHECK(cudaDeviceGetAttribute(&num_sms_, cudaDevAttrMultiProcessorCount, device));
  int shared_bytes = 0;
  CUDA_CHECK(
      cudaDeviceGetAttribute(&shared_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  max_ring_bytes_ = shared_bytes - kAlignment - kBarrierBytes;
  if (major < 9 || max_ring_bytes_ < kLeastRingBytes) return;
  encode_ = reinterpret_cast<decltype(encode_)>(driver_function("cuTensorMapEncodeTiled"));
}

CUtensorMap SkinnyProduct::map_of(const void* data, int num_rows, int num_cols, int stride,
                                  const Box& box) const {
  // Whole chunks are a third dimension, so that a box may have several; a row that ends within one
  // is left in one piece, since beyond it there must be zeros.
  const bool has_chunks = num_cols % kChunkInputs == 0;
  const auto to_size = [](int64_t size) { return static_cast<cuuint64_t>(size); };
  const cuuint64_t sizes[3] = {to_size(has_chunks ? kChunkInputs : num_cols), to_size(num_rows),
                               to_size(has_chunks ? num_cols / kChunkInputs : 1)};
  const cuuint64_t strides[2] = {to_size(int64_t{stride} * 2), to_size(kRowBytes)};
  const cuuint32_t extents[3] = {kChunkInputs, static_cast<cuuint32_t>(box.num_rows),
                                 static_cast<cuuint32_t>(box.num_chunks)};
  const cuuint32_t steps[3] = {1, 1, 1};
  CUtensorMap map;
  const CUresult result =
      encode_(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 3, const_cast<void*>(data), sizes, strides,
              extents, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
              CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    throw std::runtime_error("cuTensorMapEncodeTiled failed with " + std::to_string(result));
  }
  return map;
}

void SkinnyProduct::run(const Product& product, cudaStream_t stream) const {
  const int octets = divide_up(product.num_rows, 8);
  const int rows = octets == 1 ? 8 : octets == 2 ? 16 : kMaxSkinnyRows;
  const int num_tiles = divide_up(product.num_outputs, kTileOutputs);
  const int num_blocks = std::min(num_sms_, num_tiles);
  const int block_tiles = divide_up(num_tiles, num_blocks);
  // Two warps share a tile where there are few of these.
  const int groups = rows == kMaxSkinnyRows && block_tiles <= kMaxConsumers / 2 ? 2 : 1;
  const int num_passes = divide_up(block_tiles * groups, kMaxConsumers);
  const int max_tiles = divide_up(block_tiles, num_passes);
  const int chunk_bytes = max_tiles * kTileBytes + rows * kRowBytes;
  const bool has_chunks = product.num_inputs % kChunkInputs == 0;
  // Few large copies are better than many small ones, as long as there are some under way.
  const int limit = std::min(kRingBytes, max_ring_bytes_);
  int depth = 1;
  for (const int more : {2, 4}) {
    const bool divides = product.num_inputs % (more * kChunkInputs) == 0;
    if (divides && kMinDeepStages * more * chunk_bytes <= limit) depth = more;
  }
  const int num_stages = std::clamp(limit / (depth * chunk_bytes),
                                    depth == 1 ? kMinStages : kMinDeepStages, kMaxStages);
  const SkinnyLaunch p{
      .w = map_of(product.w, product.num_outputs, product.num_inputs, product.num_inputs,
                  {max_tiles * kTileOutputs, depth}),
      .x = map_of(product.x, product.num_rows, product.num_inputs, product.x_stride, {rows, depth}),
      .bias = product.bias,
      .y = product.y,
      .y_stride = product.y_stride,
      .num_rows = product.num_rows,
      .num_outputs = product.num_outputs,
      .scale = product.scale,
      .num_steps = divide_up(product.num_inputs, depth * kChunkInputs),
      .depth = depth,
      .step_cols = has_chunks ? 0 : kChunkInputs,
      .step_chunks = has_chunks ? depth : 0,
      .num_tiles = num_tiles,
      .max_tiles = max_tiles,
      .num_passes = num_passes,
      .num_stages = num_stages};
  const LaunchShape shape{.num_blocks = num_blocks,
                          .ring_bytes = num_stages * depth * chunk_bytes,
                          .max_ring_bytes = max_ring_bytes_,
                          .next_reads_x = product.next_reads_x};
  if (rows == 8) return launch_skinny<1, 1>(p, shape, stream);
  if (rows == 16) return launch_skinny<2, 1>(p, shape, stream);
  if (groups == 2) return launch_skinny<2, 2>(p, shape, stream);
  return launch_skinny<4, 1>(p, shape, stream);
}

}  // namespace sgmv
