#include "model/projections.h"

#include <array>

namespace sgmv {
namespace {

constexpr std::array<std::string_view, kNumModules> kNames = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

}  // namespace

std::string_view module_name(Module module) { return kNames[static_cast<size_t>(module)]; }

std::string module_path(int layer, Module module) {
  return "model.layers." + std::to_string(layer) + "." + std::string(module_name(module));
}

ProjectionShape projection_shape(const ModelConfig& config, Module module) {
  const int hidden = config.hidden_size;
  const int q_size = config.num_heads * config.head_dim;
  const int kv_size = config.num_kv_heads * config.head_dim;
  switch (module) {
    case Module::kQ:
      return {hidden, q_size};
    case Module::kK:
    case Module::kV:
      return {hidden, kv_size};
    case Module::kO:
      return {q_size, hidden};
    case Module::kGate:
    case Module::kUp:
      return {hidden, config.intermediate_size};
    case Module::kDown:
      return {config.intermediate_size, hidden};
  }
  return {};
}

}  // namespace sgmv
