#pragma once

#include <array>
#include <string>
#include <vector>

#include "backend/lora.h"
#include "model/config.h"

namespace sgmv {

// What adapter_config.json says of one projection. rank 0: not targeted.
struct LoraTarget {
  int rank = 0;
  float scale = 0;
};

using LoraTargets = std::vector<std::array<LoraTarget, kNumModules>>;  // [num_layers]

// Reads `folder`/adapter_config.json and applies PEFT's rules for which projections it targets,
// with which rank and scale. Throws std::runtime_error naming the field that is missing, out of
// range, or asks for what the engine does not have.
LoraTargets read_lora_targets(const std::string& folder, const ModelConfig& config);

}  // namespace sgmv
