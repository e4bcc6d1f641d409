#pragma once

#include <string>
#include <string_view>

#include "backend/lora.h"
#include "model/config.h"

namespace sgmv {

// A projection's name in Hugging Face checkpoints, below its layer: "self_attn.q_proj", ...
std::string_view module_name(Module module);

// "model.layers.<layer>.self_attn.q_proj": how Transformers names it, and PEFT's patterns see it.
std::string module_path(int layer, Module module);

struct ProjectionShape {
  int d_in;
  int d_out;
};

ProjectionShape projection_shape(const ModelConfig& config, Module module);

}  // namespace sgmv
