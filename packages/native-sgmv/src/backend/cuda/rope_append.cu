#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/delta.cuh"

// Bytes: q, k and v once in, 4 a value; q and k once out again, and k and v to their pages, 2 a
// value. FLOPs: 6 for each pair of values that is rotated. The time is that of one trip to L2 and
// back.

namespace sgmv {
namespace {

constexpr int kWarps = 8;

struct RopeArgs {
  float* q;
  float* k;
  float* v;
  int stride;  // of all three
  Delta q_delta;
  Delta k_delta;
  Delta v_delta;
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

// Rotates the half-split pairs of a head and its delta, two of them a lane at a time. `first` are
// the angles of the first two.
__device__ void rotate(const RopeArgs& p, float* head, const float* delta, int t,
                       const Angles& first, int lane) {
  const int half = p.head_dim / 2;
  for (int i = lane * 2; i < half; i += kWarpSize * 2) {
    const Angles angles = i == lane * 2 ? first : Angles(p, t, i);
    auto* low = reinterpret_cast<float2*>(head + i);
    auto* high = reinterpret_cast<float2*>(head + i + half);
    float2 a = *low;
    float2 b = *high;
    if (delta != nullptr) {
      add_pair(a, delta + i);
      add_pair(b, delta + i + half);
    }
    const float2 c = angles.cos;
    const float2 s = angles.sin;
    *low = make_float2(a.x * c.x - b.x * s.x, a.y * c.y - b.y * s.y);
    *high = make_float2(b.x * c.x + a.x * s.x, b.y * c.y + a.y * s.y);
  }
}

// The padding behind a head holds zeros, since what multiplies it must be finite.
__device__ void append(f16* to, const float* head, const float* delta, int head_dim, int stride,
                       int lane) {
  for (int i = lane * 2; i < stride; i += kWarpSize * 2) {
    float2 pair = make_float2(0, 0);
    if (i < head_dim) {
      pair = *reinterpret_cast<const float2*>(head + i);
      if (delta != nullptr) add_pair(pair, delta + i);
    }
    *reinterpret_cast<uint32_t*>(to + i) = to_f16_pair(pair.x, pair.y);
  }
}

// Grid: (rows, heads of q, k and v / kWarps). A warp does one head of one row.
__global__ void rope_append_kernel(const __grid_constant__ RopeArgs p, int layer) {
  allow_next_kernel();
  const int t = blockIdx.x;
  const int lane = threadIdx.x % kWarpSize;
  int head = blockIdx.y * kWarps + threadIdx.x / kWarpSize;
  const bool is_query = head < p.num_heads;
  const bool is_value = head >= p.num_heads + p.num_kv_heads;
  if (!is_query) head -= p.num_heads;
  if (is_value) head -= p.num_kv_heads;
  const int col = head * p.head_dim;
  // None of these is written by the kernels just before, so they need not wait.
  const int kv_slot = p.kv_slots[t];
  const Angles first(p, t, min(lane * 2, p.head_dim / 2 - 2));
  const float* delta = row_of(is_query ? p.q_delta : is_value ? p.v_delta : p.k_delta, t, col);
  wait_for_previous_kernels();
  if (kv_slot < 0 || (is_value && head >= p.num_kv_heads)) return;
  float* from = (is_query ? p.q : is_value ? p.v : p.k) + static_cast<int64_t>(t) * p.stride + col;
  if (!is_value) {
    rotate(p, from, delta, t, first, lane);
    if (is_query) return;
    delta = nullptr;
    __syncwarp();
  }
  f16* to = p.kv.head(kv_slot / p.kv.page_size, layer, head, is_value) +
            kv_slot % p.kv.page_size * p.kv.stride;
  append(to, from, delta, p.head_dim, p.kv.stride, lane);
}

}  // namespace

void CudaBackend::rope_append(Matrix q, Matrix k, Matrix v, int layer) {
  const RopeArgs args{.q = data<float>(q),
                      .k = data<float>(k),
                      .v = data<float>(v),
                      .stride = q.stride,
                      .q_delta = take_delta(data<float>(q)),
                      .k_delta = take_delta(data<float>(k)),
                      .v_delta = take_delta(data<float>(v)),
                      .num_heads = shape_.num_heads,
                      .num_kv_heads = shape_.num_kv_heads,
                      .head_dim = shape_.head_dim,
                      .cos = rope_cos_.data(),
                      .sin = rope_sin_.data(),
                      .positions = arrays_.positions,
                      .kv_slots = arrays_.kv_slots,
                      .kv = kv_layout()};
  const int num_heads = shape_.num_heads + 2 * shape_.num_kv_heads;
  const dim3 grid(step_rows(q), (num_heads + kWarps - 1) / kWarps);
  launch(rope_append_kernel, grid, kWarps * kWarpSize, 0, stream_, args, layer);
}

}  // namespace sgmv
