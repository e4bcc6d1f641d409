#pragma once

#include "backend/cuda/sgmv_shared.cuh"

namespace sgmv {

// acc += v[:, r .. r + 16) times 16 ranks of a block of B, of which `ranks` are in the panel.
template <int kRows>
__device__ inline void expand_tile(float (&acc)[divide_up(kRows, 16)][kBlockOctets][4],
                                   uint32_t units, int octets, int first, int ranks, uint32_t v,
                                   int num_rows, int lane) {
  // Beyond the last rank v is zero, and outputs beyond the last octet are not stored.
  const int r = min(first + lane % 16, ranks - 1);
  const uint32_t left_unit = units + (min(lane / 16, octets - 1) * ranks + r) * 16;
  const uint32_t right_unit = units + (min(lane / 16 + 2, octets - 1) * ranks + r) * 16;
  const uint4 left = load_matrices_transposed(left_unit);
  const uint4 right = load_matrices_transposed(right_unit);
#pragma unroll
  for (int i = 0; i < divide_up(kRows, 16); ++i) {
    if (i * 16 >= num_rows) break;
    uint4 a = make_uint4(0, 0, 0, 0);
    if (kRows == 8 || num_rows <= 8) {
      const uint2 low = load_two_matrices_transposed(v);
      a.x = low.x;
      a.z = low.y;
    } else {
      a = load_matrices_transposed(v + i * 32);
    }
    mma(acc[i][0], a.x, a.y, a.z, a.w, left.x, left.y);
    mma(acc[i][1], a.x, a.y, a.z, a.w, left.z, left.w);
    mma(acc[i][2], a.x, a.y, a.z, a.w, right.x, right.y);
    mma(acc[i][3], a.x, a.y, a.z, a.w, right.z, right.w);
  }
}

// What becomes of sums in y.
template <typename T>
__device__ inline void put(float* y, T sums, bool store) {
  if (store) {
    *reinterpret_cast<T*>(y) = sums;
  } else {
    add_to(y, sums);
  }
}

// y[t] += acc, or with `store` y[t] = acc, for the rows t of the item and 8 * octets columns; `y`
// is the thread's first row.
template <int kRows>
__device__ inline void put_outputs(const float (&acc)[divide_up(kRows, 16)][kBlockOctets][4],
                                   float* y, int y_stride, int octets, int num_rows, bool store,
                                   int lane) {
#pragma unroll
  for (int h = 0; h < kRows / 8; ++h) {
    if (h * 8 + lane / 4 >= num_rows) break;
    float* y_t = y + int64_t{h} * 8 * y_stride;
    float2 pair[kBlockOctets];
#pragma unroll
    for (int q = 0; q < kBlockOctets; ++q) {
      pair[q] = make_float2(acc[h / 2][q][h % 2 * 2], acc[h / 2][q][h % 2 * 2 + 1]);
    }
    if (octets == kBlockOctets) {
      float* to = y_t + lane % 4 * 8;
      put(to, make_float4(pair[0].x, pair[0].y, pair[1].x, pair[1].y), store);
      put(to + 4, make_float4(pair[2].x, pair[2].y, pair[3].x, pair[3].y), store);
      continue;
    }
#pragma unroll
    for (int q = 0; q < kBlockOctets; ++q) {
      if (q < octets) put(y_t + q * 8 + lane % 4 * 2, pair[q], store);
    }
  }
}

// y += v B^T, or y = v B^T beside a product, for the output blocks `out`.
template <int kRows>
__device__ inline void expand(const SgmvLaunch& p, const SgmvItem& item, WeightStream& stream,
                              BlockRange out, uint32_t v, int v_stride, int lane) {
  // The row of v, [rank][rows], whose address this lane gives to ldmatrix: the matrices are ranks
  // 0..7 and 8..15 with rows 0..7, or these with rows 8..15 in between.
  v += item.num_rows <= 8 ? lane % 16 * v_stride * 2
                          : (lane / 16 * 8 + lane % 8) * v_stride * 2 + lane / 8 % 2 * 16;
  float* y = p.y + static_cast<int64_t>(item.row + lane / 4) * p.y_stride;
  keep(y);
  int first_block = 0;
  for (int m = 0; m < p.group.num_modules; ++m) {
    const int rank = rank_of(item, m);
    const int count = module_blocks(p.group, item, m);
    const BlockRange blocks = within(out, first_block, count);
    const int step = chunk_blocks_out(item, m);
    for (int block = blocks.begin; block < blocks.end; block += step) {
      float acc[divide_up(kRows, 16)][kBlockOctets][4] = {};
      for (int panel = 0; panel < rank; panel += kPanelRanks) {
        const uint32_t chunk = stream.front();
        const int ranks = min(kPanelRanks, rank - panel);
        for (int b = 0; b < min(step, blocks.end - block); ++b) {
          const int first_octet = (block + b) * kBlockOctets;
          const int octets = min(kBlockOctets, p.group.d_out[m] / 8 - first_octet);
          for (int r = 0; r < ranks; r += 16) {
            expand_tile<kRows>(acc, chunk + b * kBlockOctets * ranks * 16, octets, r, ranks,
                               v + (panel + r) * v_stride * 2, item.num_rows, lane);
          }
          if (panel + ranks < rank) continue;
          put_outputs<kRows>(acc, y + first_octet * 8, p.y_stride, octets, item.num_rows,
                             p.with_product, lane);
          memset(acc, 0, sizeof(acc));
        }
        stream.pop();
      }
    }
    first_block += count;
    v += padded_rank(rank) * v_stride * 2;
    y += p.group.d_out[m];
  }
}

}  // namespace sgmv
