#include "backend/cuda/sgmv_layout.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/backend.h"
#include "model/convert.h"

namespace sgmv {
namespace {

constexpr int kUnitElements = 8;
constexpr size_t kUnitBytes = 16;
constexpr int kBlockOutputs = 32;
constexpr size_t kAlignUnits = 8;

constexpr int kFirstModule[kNumGroups] = {
    static_cast<int>(Module::kQ), static_cast<int>(Module::kO), static_cast<int>(Module::kGate),
    static_cast<int>(Module::kDown)};

size_t align_units(size_t units) { return (units + kAlignUnits - 1) / kAlignUnits * kAlignUnits; }

// Units of all matrices of one group.
size_t group_units(const LoraWeights* modules, const SgmvGroup& group) {
  size_t units = 0;
  for (int m = 0; m < group.num_modules; ++m) {
    units += static_cast<size_t>(modules[m].rank) * (group.d_in + group.d_out[m]) / kUnitElements;
  }
  return units;
}

// Calls f(layer, group, modules of the group, first unit), in the order of the block.
template <typename F>
size_t for_each_group(const HostAdapter& adapter, const SgmvGroups& groups, F f) {
  const size_t num_entries = adapter.layers.size() * kNumGroups;
  size_t unit = align_units(num_entries * sizeof(SgmvEntry) / kUnitBytes);
  for (size_t layer = 0; layer < adapter.layers.size(); ++layer) {
    for (int g = 0; g < kNumGroups; ++g) {
      const LoraWeights* modules = &adapter.layers[layer][kFirstModule[g]];
      f(layer, g, modules, unit);
      unit = align_units(unit + group_units(modules, groups[g]));
    }
  }
  return unit;
}

// The matrix as f16, converted into `storage` if it is something else.
const uint16_t* as_f16(const HostMatrix& matrix, std::vector<uint16_t>& storage) {
  if (matrix.dtype == DType::kF16) return static_cast<const uint16_t*>(matrix.data);
  storage = to_f16(matrix);
  return storage.data();
}

// a is [rank, d_in]; its rows become rows first_row and on of a stack of `stack_rank` rows.
void pack_a(const HostMatrix& a, int first_row, int stack_rank, uint16_t* out) {
  std::vector<uint16_t> storage;
  const uint16_t* values = as_f16(a, storage);
  const int64_t octets = a.num_cols / kUnitElements;
  for (int i = 0; i < a.num_rows; ++i) {
    const int first_rank = (first_row + i) / kPanelRanks * kPanelRanks;
    const int panel_ranks = std::min(kPanelRanks, stack_rank - first_rank);
    const int r = first_row + i - first_rank;
    const bool complete = (r | 7) < panel_ranks;
    for (int64_t q = 0; q < octets; ++q) {
      const int64_t place = complete ? (r & ~7) | ((r + 2 * q) & 7) : r;
      const int64_t unit = octets * first_rank + q * panel_ranks + place;
      std::memcpy(out + unit * kUnitElements, values + int64_t{i} * a.num_cols + q * kUnitElements,
                  kUnitBytes);
    }
  }
}

// b is [d_out, rank].
void pack_b(const HostMatrix& b, uint16_t* out) {
  std::vector<uint16_t> storage;
  const uint16_t* values = as_f16(b, storage);
  const int rank = b.num_cols;
  for (int64_t o = 0; o < b.num_rows; ++o) {
    const int64_t first_output = o / kBlockOutputs * kBlockOutputs;
    const int octets = static_cast<int>(
        std::min<int64_t>(kBlockOutputs, b.num_rows - first_output) / kUnitElements);
    const int i = static_cast<int>(o - first_output);
    const bool complete = octets * kUnitElements == kBlockOutputs;
    const int q = complete ? i % 8 / 2 : i / 8;
    const int n = complete ? i / 8 * 2 + i % 2 : i % 8;
    for (int r = 0; r < rank; ++r) {
      const int first_rank = r / kPanelRanks * kPanelRanks;
      const int panel_ranks = std::min(kPanelRanks, rank - first_rank);
      const int64_t unit = first_output / kUnitElements * rank + octets * first_rank +
                           q * panel_ranks + (r - first_rank);
      out[unit * kUnitElements + n] = values[o * rank + r];
    }
  }
}

void pack_group(const LoraWeights* modules, const SgmvGroup& group, uint16_t* out) {
  int stack_rank = 0;
  for (int m = 0; m < group.num_modules; ++m) stack_rank += modules[m].rank;
  int first_row = 0;
  uint16_t* b = out + static_cast<int64_t>(stack_rank) * group.d_in;
  for (int m = 0; m < group.num_modules; ++m) {
    if (modules[m].rank == 0) continue;
    pack_a(modules[m].a, first_row, stack_rank, out);
    pack_b(modules[m].b, b);
    first_row += modules[m].rank;
    b += static_cast<int64_t>(modules[m].rank) * group.d_out[m];
  }
}

}  // namespace

SgmvGroups sgmv_groups(const ModelShape& shape) {
  const int q = shape.num_heads * shape.head_dim;
  const int kv = shape.num_kv_heads * shape.head_dim;
  const int hidden = shape.hidden_size;
  const int intermediate = shape.intermediate_size;
  return {{{hidden, 3, {q, kv, kv}},
           {q, 1, {hidden, 0, 0}},
           {hidden, 2, {intermediate, intermediate, 0}},
           {intermediate, 1, {hidden, 0, 0}}}};
}

size_t sgmv_adapter_bytes(const HostAdapter& adapter, const SgmvGroups& groups) {
  return for_each_group(adapter, groups, [](size_t, int, const LoraWeights*, size_t) {}) *
         kUnitBytes;
}

void pack_sgmv_entries(const HostAdapter& adapter, const SgmvGroups& groups,
                       std::span<uint8_t> out) {
  for_each_group(adapter, groups,
                 [&](size_t layer, int g, const LoraWeights* modules, size_t unit) {
                   SgmvEntry entry{};
                   entry.offset = static_cast<uint32_t>(unit);
                   for (int m = 0; m < groups[g].num_modules; ++m) {
                     entry.rank[m] = static_cast<uint16_t>(modules[m].rank);
                     entry.scale[m] = modules[m].scale;
                   }
                   std::memcpy(out.data() + (layer * kNumGroups + g) * sizeof(SgmvEntry), &entry,
                               sizeof(entry));
                 });
}

void pack_sgmv_adapter(const HostAdapter& adapter, const SgmvGroups& groups,
                       std::span<uint8_t> out) {
  pack_sgmv_entries(adapter, groups, out);
  for_each_group(adapter, groups, [&](size_t, int g, const LoraWeights* modules, size_t unit) {
    pack_group(modules, groups[g], reinterpret_cast<uint16_t*>(out.data() + unit * kUnitBytes));
  });
}

}  // namespace sgmv
