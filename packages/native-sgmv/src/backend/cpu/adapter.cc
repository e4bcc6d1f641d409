#include <utility>

#include "backend/cpu/cpu_backend.h"

namespace sgmv {
namespace {

bool is_targeted(const LoraWeights& lora) { return lora.rank > 0; }

// The A of a group's targeted modules, stacked in the order of the modules.
std::vector<HostMatrix> stacked_a(const std::array<LoraWeights, kNumModules>& layer, Group group) {
  std::vector<HostMatrix> parts;
  for (int m = modules_of(group).first; m < modules_of(group).end; ++m) {
    if (is_targeted(layer[m])) parts.push_back(layer[m].a);
  }
  return parts;
}

PackedMatrix packed_shape(std::span<const HostMatrix> parts) {
  PackedMatrix w{.panels = nullptr,
                 .dtype = packed_dtype(parts),
                 .num_rows = 0,
                 .num_cols = parts[0].num_cols};
  for (const HostMatrix& part : parts) w.num_rows += part.num_rows;
  return w;
}

size_t packed_bytes(std::span<const HostMatrix> parts) {
  const PackedMatrix w = packed_shape(parts);
  return packed_bytes(w.dtype, w.num_rows, w.num_cols);
}

// Lays the matrices of an adapter out in its run of slots, from front to back, and remembers what
// there is to copy.
class Layout {
 public:
  explicit Layout(uint8_t* start) : at_(start) {}

  PackedMatrix add(std::vector<HostMatrix> parts) {
    PackedMatrix w = packed_shape(parts);
    w.panels = at_;
    copies_.push_back({at_, w, std::move(parts)});
    at_ += packed_bytes(w.dtype, w.num_rows, w.num_cols);
    return w;
  }

  void copy() const {
    for (const Copy& copy : copies_) {
      const size_t stride = panel_bytes(copy.w.dtype, copy.w.num_cols);
      for (int i = 0; i < num_panels(copy.w.num_rows); ++i) {
        pack_panel(copy.out + i * stride, copy.w.dtype, copy.parts, i);
      }
    }
  }

 private:
  struct Copy {
    uint8_t* out;
    PackedMatrix w;
    std::vector<HostMatrix> parts;
  };

  uint8_t* at_;
  std::vector<Copy> copies_;
};

}  // namespace

size_t CpuBackend::adapter_bytes(const HostAdapter& adapter) const {
  size_t num_bytes = 0;
  for (const auto& layer : adapter.layers) {
    for (const Group group : kGroups) {
      const std::vector<HostMatrix> a = stacked_a(layer, group);
      if (!a.empty()) num_bytes += packed_bytes(a);
    }
    for (const LoraWeights& lora : layer) {
      if (is_targeted(lora)) num_bytes += packed_bytes({&lora.b, 1});
    }
  }
  return num_bytes;
}

std::unique_ptr<DeviceAdapter> CpuBackend::place_adapter(const HostAdapter& adapter,
                                                         int first_slot) {
  const int kv_cols = shape_.num_kv_heads * shape_.head_dim;
  const int module_cols[kNumModules] = {shape_.num_heads * shape_.head_dim,
                                        kv_cols,
                                        kv_cols,
                                        shape_.hidden_size,
                                        shape_.intermediate_size,
                                        shape_.intermediate_size,
                                        shape_.hidden_size};
  Layout layout(slots_.get() + first_slot * page_bytes());
  auto placed = std::make_unique<CpuAdapter>();
  for (const auto& layer : adapter.layers) {
    auto& groups = placed->layers.emplace_back();
    for (const Group group : kGroups) {
      const std::vector<HostMatrix> a = stacked_a(layer, group);
      if (a.empty()) continue;
      CpuLoraGroup& lora = groups[static_cast<int>(group)];
      lora.a = layout.add(a);
      int rank_col = 0;
      int col = 0;
      for (int m = modules_of(group).first; m < modules_of(group).end; ++m) {
        if (is_targeted(layer[m])) {
          lora.parts.push_back({layout.add({layer[m].b}), rank_col, col, layer[m].scale});
        }
        rank_col += layer[m].rank;
        col += module_cols[m];
      }
    }
  }
  copy_thread_.post([layout = std::move(layout), is_ready = placed->is_ready] {
    layout.copy();
    is_ready->store(true);
    is_ready->notify_all();
  });
  return placed;
}

bool CpuBackend::adapter_ready(const DeviceAdapter& adapter) {
  return static_cast<const CpuAdapter&>(adapter).is_ready->load();
}

// Waits, since the copy reads memory that may go when this goes.
CpuAdapter::~CpuAdapter() { is_ready->wait(false); }

}  // namespace sgmv
