#pragma once

#include <string>

namespace sgmv {

// What config.json says of a Llama-shaped decoder, in the names of this code.
struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM", ...
  int num_layers;
  int hidden_size;
  int num_heads;
  int num_kv_heads;
  int head_dim;
  int intermediate_size;
  int vocab_size;
  int max_positions;
  int sliding_window;  // 0: none
  float rms_norm_eps;
  float rope_theta;
  // rope_scaling: "" (none), "linear" or "llama3".
  std::string rope_scaling;
  float rope_factor;
  float rope_low_freq_factor;
  float rope_high_freq_factor;
  int rope_original_max_positions;
  bool qkv_bias;  // Qwen2
  bool o_bias;    // Llama's attention_bias
  bool mlp_bias;  // Llama's mlp_bias
  bool qk_norm;   // Qwen3
  bool tie_embeddings;
};

// Reads `folder`/config.json. Throws std::runtime_error naming the field that is missing, out of
// range, or asks for what the engine does not have.
ModelConfig read_model_config(const std::string& folder);

}  // namespace sgmv
