#pragma once

#include "backend/cuda/sgmv_shared.cuh"

namespace sgmv {

// What one thread reads of x: 8 columns of each block of 32, of every 8th row.
template <int kRows>
class XReader {
 public:
  __device__ XReader(const SgmvLaunch& p, const SgmvItem& item, int lane)
      : x_(p.x + static_cast<int64_t>(item.row + lane / 4) * p.x_stride + lane % 4 * 8),
        stride_(8 * p.x_stride) {
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      const int columns = p.group.d_in - lane % 4 * 8;
      columns_[i] = i * 8 + lane / 4 < item.num_rows ? columns : 0;
      keep(columns_[i]);
    }
    keep(x_);
  }

  // Zeros where there is no such row or column.
  __device__ void load(uint4 (&out)[kRows / 8], int block) const {
    const __half* x = x_ + block * 32;
#pragma unroll
    for (int i = 0; i < kRows / 8; ++i) {
      out[i] = load_if(block * 32 < columns_[i], x + int64_t{i} * stride_);
    }
  }

 private:
  const __half* x_;
  int stride_;
  int columns_[kRows / 8];  // from x_ on
};

// acc[m, i] += tile m of a panel of A times rows 8i .. 8i + 8 of x, over `in`.
//
// The k index of an mma is free as long as both operands agree on it, so a thread takes 8
// consecutive elements of a row for two mma, and one 16-byte load brings them.
template <int kRows>
__device__ inline void shrink_panel(float (&acc)[kPanelTiles][kRows / 8][4], const SgmvLaunch& p,
                                    const SgmvItem& item, const XReader<kRows>& reader,
                                    WeightStream& stream, BlockRange in, int ranks, int lane) {
  constexpr int kAhead = kRows == kDecodeRows ? 4 : 2;
  uint4 x[kAhead][kRows / 8];
#pragma unroll
  for (int u = 0; u < kAhead; ++u) {
    if (in.begin + u < in.end) reader.load(x[u], in.begin + u);
  }
  // Where the thread's two units of each tile lie in an octet; any unit will do beyond the last
  // rank, and any octet beyond d_in, where x is zero.
  uint32_t place[kPanelTiles * 2];
#pragma unroll
  for (int h = 0; h < kPanelTiles * 2; ++h) {
    const int r = h * 8;
    place[h] =
        16 * (r + 8 <= ranks ? r + (lane / 4 + lane % 4 * 2) % 8 : min(r + lane / 4, ranks - 1));
    keep(place[h]);
  }
  const int last_octet = (p.group.d_in / 8 - 1) % kBlockOctets;
  const int chunk_blocks = ranks == kPanelRanks ? 1 : item.chunk_blocks_in;
  const int full_blocks = p.group.d_in / 8 / kBlockOctets;
  int in_chunk = 0;
  uint32_t units = 0;
  for (int first = in.begin; first < in.end; first += kAhead) {
#pragma unroll
    for (int u = 0; u < kAhead; ++u) {
      const int block = first + u;
      if (block >= in.end) break;
      if (in_chunk == 0) units = stream.front();
      const int octet = block < full_blocks ? lane % 4 : min(lane % 4, last_octet);
      const uint32_t octet_units = units + octet * ranks * 16;
#pragma unroll
      for (int m = 0; m < kPanelTiles; ++m) {
        if (m * 16 >= ranks) break;
        const uint4 low = load_shared(octet_units + place[m * 2]);
        const uint4 high = load_shared(octet_units + place[m * 2 + 1]);
#pragma unroll
        for (int i = 0; i < kRows / 8; ++i) {
          if (kRows > 8 && i * 8 >= item.num_rows) break;
          mma(acc[m][i], low.x, high.x, low.y, high.y, x[u][i].x, x[u][i].y);
          mma(acc[m][i], low.z, high.z, low.w, high.w, x[u][i].z, x[u][i].w);
        }
      }
      units += kBlockOctets * ranks * 16;
      if (block + kAhead < in.end) reader.load(x[u], block + kAhead);
      if (++in_chunk == chunk_blocks || block + 1 == in.end) {
        stream.pop();
        in_chunk = 0;
      }
    }
  }
}

}  // namespace sgmv
