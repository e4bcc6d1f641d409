#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/tensor.h"

namespace sgmv {

// The dense projections of a decoder layer that an adapter may change.
enum class Module : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown };
constexpr int kNumModules = 7;

// Projections that read the same input run as one SGMV pair, so a layer has four, not seven.
enum class Group : uint8_t { kQkv, kO, kGateUp, kDown };
constexpr int kNumGroups = 4;

constexpr int kMaxRank = 256;

// The LoRA of one projection: y += scale * (x A^T) B^T. rank 0 means "not targeted".
struct LoraWeights {
  int rank = 0;
  float scale = 0;  // lora_alpha / rank, or lora_alpha / sqrt(rank) with rsLoRA
  HostMatrix a{};   // [rank, d_in]
  HostMatrix b{};   // [d_out, rank]
};

// One adapter in host memory, checked against its base model. The matrices point into `storage`.
struct HostAdapter {
  std::vector<std::array<LoraWeights, kNumModules>> layers;  // [num_layers]
  std::vector<uint8_t> storage;
  int max_rank = 0;
  // What Backend::prepare_adapter() made of it, in that backend's own form. The matrices are then
  // sizes alone.
  std::shared_ptr<const void> image{};
  size_t image_bytes = 0;

  // What it takes of host memory.
  size_t num_bytes() const {
    return storage.size() + image_bytes + layers.size() * sizeof(layers.front());
  }
};

// An adapter in the layout and the memory of a backend. Only that backend looks inside.
class DeviceAdapter {
 public:
  virtual ~DeviceAdapter() = default;
};

}  // namespace sgmv
