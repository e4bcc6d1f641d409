#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/lora.h"

namespace sgmv {

struct ModelShape;

constexpr int kMaxGroupModules = 3;

// The modules that one SGMV launch serves: they read the same x, and their outputs lie side by
// side in y. All sizes are multiples of 8.
struct SgmvGroup {
  int d_in;
  int num_modules;
  int d_out[kMaxGroupModules];
};

using SgmvGroups = std::array<SgmvGroup, kNumGroups>;

SgmvGroups sgmv_groups(const ModelShape& shape);

// The most ranks that lie side by side in a device adapter; more lie in several panels.
constexpr int kPanelRanks = 64;

// Where one group of one layer lies in a device adapter.
//
// A device adapter is one contiguous block, the same on host and device, so that one asynchronous
// copy loads it:
//   SgmvEntry entries[num_layers][kNumGroups];
//   for each layer and group, from a multiple of 128 bytes on: A, B of module 0, B of module 1, ...
// A is the modules' A stacked, [R, d_in] with R the sum of their ranks, so that one pass over x
// serves all of them. Matrices are stored in units of 16 bytes, without padding for any rank, and
// so that whatever a warp needs at a time is contiguous:
//   A: for each panel of 64 ranks: for each 8 columns of d_in: a unit for each rank of the panel
//   B: for each 32 outputs: for each panel of 64 ranks: for each 8 of these outputs: a unit for
//      each rank of the panel
// Two permutations make the units fit the tensor cores' operands. In A, 8 ranks that are complete
// are rotated by 2q places in the q-th 8 columns, against bank conflicts. In B, the n-th value of
// the q-th unit of 32 complete outputs is that of output 8 (n / 2) + 2q + n % 2: a thread that
// holds the same two values of all four units has 8 consecutive outputs.
struct SgmvEntry {
  uint32_t offset;                  // of A, in units from the adapter's start
  uint16_t rank[kMaxGroupModules];  // 0: not targeted
  uint16_t reserved;
  float scale[kMaxGroupModules];
  uint32_t reserved2[2];
};
static_assert(sizeof(SgmvEntry) == 32);

// Bytes of `adapter` as a device adapter: 2 r (d_in + d_out) a module, and the entries.
size_t sgmv_adapter_bytes(const HostAdapter& adapter, const SgmvGroups& groups);

// Writes the entries alone: the head of the block.
void pack_sgmv_entries(const HostAdapter& adapter, const SgmvGroups& groups,
                       std::span<uint8_t> out);

// Writes the device adapter to host memory, `out.size()` == sgmv_adapter_bytes(). The block may
// then be copied to any device address that is a multiple of 128.
void pack_sgmv_adapter(const HostAdapter& adapter, const SgmvGroups& groups,
                       std::span<uint8_t> out);

}  // namespace sgmv
