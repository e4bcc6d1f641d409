#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/launch.cuh"

namespace sgmv {
namespace {

constexpr int kWarps = 8;

struct RopeArgs {
  float* q;
  float* k;
  float* v;
  int stride;  // of all three
  int num_heads;
  int num_kv_heads;
  int head_dim;
  const float* cos;  // [positions, head_dim / 2]
  const float* sin;
  const int32_t* positions;
  const int32_t* kv_slots;  // page * page_size + slot; negative: a row of padding
  KvLayout kv;
};

struct Angles {
  float2 cos;
  float2 sin;

  __device__ Angles(const RopeArgs& p, int t, int i) {
    const int64_t at = static_cast<int64_t>(p.positions[t]) * (p.head_dim / 2) + i;
    cos = *reinterpret_cast<const float2*>(p.cos + at);
    sin = *reinterpret_cast<const float2*>(p.sin + at);
  }
};

// Rotates the half-split pairs of a head, two of them a lane at a time. `first` are the angles of
// the first two.
__device__ void rotate(const RopeArgs& p, float* head, int t, const Angles& first, int lane) {
  const int half = p.head_dim / 2;
  for (int i = lane * 2; i < half; i += kWarpSize * 2) {
    const Angles angles = i == lane * 2 ? first : Angles(p, t, i);
    auto* low = reinterpret_cast<float2*>(head + i);
    auto* high = reinterpret_cast<float2*>(head + i + half);
    const float2 a = *low;
    const float2 b = *high;
    const float2 c = angles.cos;
    const float2 s = angles.sin;
    *low = make_float2(a.x * c.x - b.x * s.x, a.y * c.y - b.y * s.y);
    *high = make_float2(b.x * c.x + a.x * s.x, b.y * c.y + a.y * s.y);
  }
}

// The padding behind a head holds zeros, since what multiplies it must be finite.
__device__ void append(f16* to, const float* head, int head_dim, int stride, int lane) {
  for (int i = lane * 2; i < stride; i += kWarpSize * 2) {
    const float2 pair =
        i < head_dim ? *reinterpret_cast<const float2*>(head + i) : make_float2(0, 0);
    *reinterpret_cast<uint32_t*>(to + i) = to_f16_pair(pair.x, pair.y);
  }
}

// Grid: (rows, heads of q, k and v / kWarps). A warp does one head of one row.
__global__ void rope_append_kernel(const __grid_constant__ RopeArgs p, int layer) {
  allow_next_kernel();
  const int t = blockIdx.x;
  const int lane = threadIdx.x % kWarpSize;
  int head = blockIdx.y * kWarps + threadIdx.x / kWarpSize;
  // Nothing of the step writes these, so they need not wait.
  const int kv_slot = p.kv_slots[t];
  const Angles first(p, t, min(lane * 2, p.head_dim / 2 - 2));
  wait_for_previous_kernels();
  if (kv_slot < 0 || head >= p.num_heads + 2 * p.num_kv_heads) return;
  const int64_t row = static_cast<int64_t>(t) * p.stride;
  if (head < p.num_heads) {
    rotate(p, p.q + row + head * p.head_dim, t, first, lane);
    return;
  }
  head -= p.num_heads;
  const bool is_value = head >= p.num_kv_heads;
  if (is_value) head -= p.num_kv_heads;
  float* from = (is_value ? p.v : p.k) + row + head * p.head_dim;
  if (!is_value) {
    rotate(p, from, t, first, lane);
    __syncwarp();
  }
  f16* to = p.kv.head(kv_slot / p.kv.page_size, layer, head, is_value) +
            kv_slot % p.kv.page_size * p.kv.stride;
  append(to, from, p.head_dim, p.kv.stride, lane);
}

}  // namespace

void CudaBackend::rope_append(Matrix q, Matrix k, Matrix v, int layer) {
  const RopeArgs args{data<float>(q),   data<float>(k),      data<float>(v),   q.stride,
                      shape_.num_heads, shape_.num_kv_heads, shape_.head_dim,  rope_cos_.data(),
                      rope_sin_.data(), arrays_.positions,   arrays_.kv_slots, kv_layout()};
  const int num_heads = shape_.num_heads + 2 * shape_.num_kv_heads;
  const dim3 grid(step_rows(q), (num_heads + kWarps - 1) / kWarps);
  launch(rope_append_kernel, grid, kWarps * kWarpSize, 0, stream_, args, layer);
}

}  // namespace sgmv
