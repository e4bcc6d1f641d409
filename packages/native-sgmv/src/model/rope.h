#pragma once

#include <vector>

#include "model/config.h"

namespace sgmv {

// cos and sin of every position and frequency, each [max_positions, head_dim / 2].
struct RopeTable {
  std::vector<float> cos;
  std::vector<float> sin;
};

// The angles of rotary embedding (Su et al. 2021), with the scaling that the configuration asks
// for: "linear" divides positions, "llama3" stretches the long wavelengths as Llama 3.1 does.
RopeTable rope_table(const ModelConfig& config);

}  // namespace sgmv
