#pragma once

#include "backend/cuda/attention.h"
#include "backend/cuda/launch.cuh"

// How attention brings keys and values from their pages to shared memory.

namespace sgmv {

// Copies 16 bytes to shared memory, zeros where not `valid`. `from` must be an address even then.
__device__ inline void copy_octet(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}

template <int kPending>
__device__ inline void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// Bytes of a tile in shared memory: keys [kKeys][kDim], then values [kKeys][kDim], where the octets
// of a row change places against bank conflicts.
template <int kDim, int kKeys>
constexpr int kTileBytes = 2 * kKeys* kDim * 2;
template <int kDim, int kKeys>
constexpr int kValuesOffset = kKeys* kDim * 2;

template <int kDim>
__device__ inline uint32_t octet_offset(int key, int octet) {
  return (key * (kDim / 8) + (octet ^ (key % 8))) * 16;
}

__device__ inline const uint8_t* key_address(const KvLayout& kv, const int32_t* pages, int key,
                                             int layer, int kv_head) {
  const int page = pages[key / kv.page_size];
  return reinterpret_cast<const uint8_t*>(kv.head(page, layer, kv_head, false) +
                                          key % kv.page_size * kv.stride);
}

// Starts to copy 16 keys and values of a tile that lie one after the other in a page.
template <int kDim, int kKeys>
__device__ inline void start_page_part(uint32_t tile, const uint8_t* from, int value_offset,
                                       int first_row, int lane) {
  constexpr int kOctets = kDim / 8;
  constexpr int kRowsAtOnce = kWarpSize / kOctets;
  from += lane * 16;
#pragma unroll
  for (int i = 0; i < 16 / kRowsAtOnce; ++i) {
    const uint32_t to =
        tile + octet_offset<kDim>(first_row + i * kRowsAtOnce + lane / kOctets, lane % kOctets);
    copy_octet(to, from + i * kWarpSize * 16, true);
    copy_octet(to + kValuesOffset<kDim, kKeys>, from + value_offset + i * kWarpSize * 16, true);
  }
}

// Starts to copy `num_rows` keys and values, from the `first_row`-th on, of the tile that begins
// with `first_key`; zeros from `end_key` on. Called by a whole warp.
template <int kDim, int kKeys>
__device__ inline void start_tile(uint32_t tile, const KvLayout& kv, const int32_t* pages,
                                  int first_key, int end_key, int layer, int kv_head, int first_row,
                                  int num_rows, int lane) {
  const int value_offset = kv.page_size * kv.stride * 2;
  if (num_rows == kKeys && first_key + kKeys <= end_key && kv.page_size % 16 == 0 &&
      kv.stride == kDim) {
#pragma unroll
    for (int first = 0; first < kKeys; first += 16) {
      const uint8_t* from = key_address(kv, pages, first_key + first, layer, kv_head);
      start_page_part<kDim, kKeys>(tile, from, value_offset, first, lane);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
    return;
  }
  constexpr int kOctets = kDim / 8;
  constexpr int kRowsAtOnce = kWarpSize / kOctets;
  const bool is_key = first_key + lane < end_key;
  const auto address = reinterpret_cast<uint64_t>(
      is_key ? key_address(kv, pages, first_key + lane, layer, kv_head) : kv.pool);
  const int octet = lane % kOctets;
#pragma unroll
  for (int i = 0; i < num_rows / kRowsAtOnce; ++i) {
    const int row = first_row + i * kRowsAtOnce + lane / kOctets;
    const auto* from = reinterpret_cast<const uint8_t*>(__shfl_sync(kAllLanes, address, row));
    const bool valid = first_key + row < end_key && octet * 8 < kv.stride;
    const int offset = valid ? octet * 16 : 0;
    const uint32_t to = tile + octet_offset<kDim>(row, octet);
    copy_octet(to, from + offset, valid);
    copy_octet(to + kValuesOffset<kDim, kKeys>, from + offset + (valid ? value_offset : 0), valid);
  }
  asm volatile("cp.async.commit_group;" ::: "memory");
}

}  // namespace sgmv
