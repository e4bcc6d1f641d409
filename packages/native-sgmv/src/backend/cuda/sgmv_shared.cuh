#pragma once

#include <cuda_fp16.h>

#include <algorithm>

#include "backend/cuda/sgmv_weights.cuh"

namespace sgmv {

constexpr int kThreads = kWarps * 32;
constexpr int kPanelTiles = kPanelRanks / 16;
// v is stored as [rank][rows], 16 bytes for 8 rows; with more than 8, padded against bank
// conflicts.
constexpr int kWideVStride = kPrefillRows + 8;

struct SgmvLaunch {
  SgmvGroup group;
  const SgmvItem* items;
  const __half* x;
  float* y;
  float x_scale;
  int x_stride;
  int y_stride;
  // SgmvStart::kWithProduct: x is there from the start, and y is stored instead of added to.
  bool with_product;
};

// Shared memory of a block that does up to kRows rows at a time, after the rings of its warps.
template <int kRows>
struct SharedLayout {
  // Of each tile of v that a cluster sums, two ranks a block, from every warp.
  static constexpr uint32_t kParts = kWarps * kDepth * kChunkUnits * 16;
  static constexpr uint32_t kV = kParts + 8 * kWarps * kPanelTiles * (kRows / 8) * 64;
  static constexpr uint32_t kVBytes =
      std::max(kRows == kDecodeRows ? 0 : kPrefillRank * kWideVStride,
               kMaxPaddedRank* kDecodeRows) *
      2;
  static constexpr uint32_t kPartsBarrier = kV + kVBytes;
  static constexpr uint32_t kVBarrier = kPartsBarrier + 8;
  static constexpr uint32_t kChunkBarriers = kVBarrier + 8;
  static constexpr uint32_t kBytes = kChunkBarriers + kWarps * kDepth * 8;
};

}  // namespace sgmv
