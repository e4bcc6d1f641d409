// Attention of a few rows over the blocks of one sequence and KV head: scores, softmax, weighted
// values. Rows share what they read and nothing else: each adds up its own keys in ascending order,
// lane by lane, so its result is the same alone as in company.
#pragma once

#include "backend/cpu/isa/vec.h"
#include "backend/cpu/kernels.h"

namespace sgmv {
namespace {

constexpr int kBlockVecs = kKvBlock / kWidth;
constexpr int kPaddedTo = 16;  // head_dim of the values and the sums

inline int padded(int head_dim) { return (head_dim + kPaddedTo - 1) / kPaddedTo * kPaddedTo; }

struct Lanes {
  int begin;
  int end;
  bool operator==(const Lanes& other) const { return begin == other.begin && end == other.end; }
};

// The lanes of a block that a row sees.
inline Lanes visible_lanes(const KvBlock& block, const AttentionRow& row) {
  const int begin = row.begin > block.first_key ? row.begin - block.first_key : 0;
  const int seen = row.end - block.first_key;
  const int end = seen < block.num_keys ? seen : block.num_keys;
  return {begin, end > begin ? end : begin};
}

// scores[r][j] = q[r] . k[j] for kBlocks blocks.
template <int kRows, int kBlocks>
void score_blocks(const AttentionArgs& args, int row, int block) {
  constexpr int kVecs = kBlocks * kBlockVecs;
  Vec sum[kRows][kVecs] = {};
  const float* q[kRows];
  const float* k[kBlocks];
  for (int r = 0; r < kRows; ++r) q[r] = args.rows[row + r].q;
  for (int b = 0; b < kBlocks; ++b) k[b] = args.blocks[block + b].k;
  for (int d = 0; d < args.head_dim; ++d) {
    Vec k_d[kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) {
      k_d[v] = load(k[v / kBlockVecs] + d * kKvBlock + v % kBlockVecs * kWidth);
    }
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec q_rd = splat(q[r][d]);
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(q_rd, k_d[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    float* scores = args.scores + (int64_t{row} + r) * args.num_blocks * kKvBlock;
    for (int v = 0; v < kVecs; ++v) {
      store(scores + block * kKvBlock + v * kWidth, sum[r][v] * args.scale);
    }
  }
}

template <int kRows>
void score_rows(const AttentionArgs& args, int row) {
  constexpr int kVecs = kWidth == 16 ? 8 : 4;  // sums in flight, to hide the latency of the fma
  constexpr int kBlocks = kVecs / (kRows * kBlockVecs) > 1 ? kVecs / (kRows * kBlockVecs) : 1;
  int block = 0;
  for (; block + kBlocks <= args.num_blocks; block += kBlocks) {
    score_blocks<kRows, kBlocks>(args, row, block);
  }
  for (; block < args.num_blocks; ++block) score_blocks<kRows, 1>(args, row, block);
}

inline Vec select_lanes(Lanes lanes, int vec, Vec value, Vec otherwise) {
  const IntVec ids = lane_ids() + vec * kWidth;
  const IntVec inside = (ids >= lanes.begin) & (ids < lanes.end);
  return inside ? value : otherwise;
}

// Replaces the scores of a row by e^(score - max), 0 where the row does not see; returns their sum.
inline float exp_scores(const AttentionArgs& args, int row) {
  float* scores = args.scores + int64_t{row} * args.num_blocks * kKvBlock;
  const Vec lowest = splat(-__builtin_inff());
  Vec largest = lowest;
  for (int b = 0; b < args.num_blocks; ++b) {
    const Lanes lanes = visible_lanes(args.blocks[b], args.rows[row]);
    for (int v = 0; v < kBlockVecs; ++v) {
      const Vec score = load(scores + b * kKvBlock + v * kWidth);
      largest = max(select_lanes(lanes, v, score, lowest), largest);
    }
  }
  const Vec shift = splat(reduce_max(largest));
  Vec sums[kBlockVecs] = {};
  for (int b = 0; b < args.num_blocks; ++b) {
    const Lanes lanes = visible_lanes(args.blocks[b], args.rows[row]);
    for (int v = 0; v < kBlockVecs; ++v) {
      float* at = scores + b * kKvBlock + v * kWidth;
      const Vec weight = select_lanes(lanes, v, exp(load(at) - shift), Vec{});
      store(at, weight);
      sums[v] += weight;
    }
  }
  float sum = 0;
  for (int v = 0; v < kBlockVecs; ++v) sum += reduce_add(sums[v]);
  return sum;
}

// sums[r] += weights[r][j] * v[j] over some lanes of one block, kVecs vectors of head_dim at a
// time.
template <int kRows, int kVecs>
void add_values(const AttentionArgs& args, int row, int block, Lanes lanes, int column) {
  const int width = padded(args.head_dim);
  const float* values = args.blocks[block].v + column;
  const float* weights = args.scores + (int64_t{row} * args.num_blocks + block) * kKvBlock;
  const int64_t weights_stride = int64_t{args.num_blocks} * kKvBlock;
  float* sums = args.sums + int64_t{row} * width + column;

  Vec sum[kRows][kVecs];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) sum[r][v] = load(sums + r * width + v * kWidth);
  }
  for (int j = lanes.begin; j < lanes.end; ++j) {
    Vec value[kVecs];
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) value[v] = load(values + j * width + v * kWidth);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      const Vec weight = splat(weights[r * weights_stride + j]);
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(weight, value[v], sum[r][v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVecs; ++v) store(sums + r * width + v * kWidth, sum[r][v]);
  }
}

template <int kRows>
void add_block(const AttentionArgs& args, int row, int block, Lanes lanes) {
  constexpr int kSums = kWidth == 16 ? 16 : 8;  // vectors in registers
  constexpr int kFit = kSums / kRows > 1 ? kSums / kRows : 1;
  constexpr int kVecs = kFit >= 8 ? 8 : kFit >= 4 ? 4 : kFit >= 2 ? 2 : 1;
  const int width = padded(args.head_dim);
  int column = 0;
  for (; column + kVecs * kWidth <= width; column += kVecs * kWidth) {
    add_values<kRows, kVecs>(args, row, block, lanes, column);
  }
  for (; column < width; column += kWidth) add_values<kRows, 1>(args, row, block, lanes, column);
}

template <int kRows>
void attend_rows(const AttentionArgs& args, int row) {
  score_rows<kRows>(args, row);
  float total[kRows];
  for (int r = 0; r < kRows; ++r) total[r] = exp_scores(args, row + r);

  const int width = padded(args.head_dim);
  for (int i = 0; i < kRows * width; ++i) args.sums[int64_t{row} * width + i] = 0;
  for (int block = 0; block < args.num_blocks; ++block) {
    Lanes lanes[kRows];
    bool all_same = true;
    for (int r = 0; r < kRows; ++r) {
      lanes[r] = visible_lanes(args.blocks[block], args.rows[row + r]);
      all_same = all_same && lanes[r] == lanes[0];
    }
    if (all_same) {
      add_block<kRows>(args, row, block, lanes[0]);
    } else {
      for (int r = 0; r < kRows; ++r) add_block<1>(args, row + r, block, lanes[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const float* sums = args.sums + (int64_t{row} + r) * width;
    for (int d = 0; d < args.head_dim; ++d) args.rows[row + r].y[d] = sums[d] / total[r];
  }
}

inline void attention(const AttentionArgs& args) {
  int row = 0;
  for (; row + 8 <= args.num_rows; row += 8) attend_rows<8>(args, row);
  for (; row + 4 <= args.num_rows; row += 4) attend_rows<4>(args, row);
  for (; row + 2 <= args.num_rows; row += 2) attend_rows<2>(args, row);
  for (; row < args.num_rows; ++row) attend_rows<1>(args, row);
}

}  // namespace
}  // namespace sgmv
