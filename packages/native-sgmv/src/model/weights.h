#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/config.h"
#include "model/model.h"

namespace sgmv {

struct LayerWeights {
  std::unique_ptr<Weights> input_norm;
  std::unique_ptr<Weights> qkv;     // q, k and v stacked
  std::unique_ptr<Weights> q_norm;  // null without QK norm
  std::unique_ptr<Weights> k_norm;
  std::unique_ptr<Weights> o;
  std::unique_ptr<Weights> post_norm;
  std::unique_ptr<Weights> gate_up;  // gate and up stacked
  std::unique_ptr<Weights> down;
};

struct ModelWeights {
  std::unique_ptr<Weights> embedding;
  std::vector<LayerWeights> layers;
  std::unique_ptr<Weights> final_norm;
  std::unique_ptr<Weights> lm_head;
  size_t bytes_per_step = 0;  // of the matrices that every step reads
};

// Brings a model's weights into the backend, from the folder's checkpoint or made at random.
// Throws std::runtime_error naming the file and the tensor at fault.
ModelWeights load_weights(Backend& backend, const ModelConfig& config, const std::string& folder,
                          WeightSource source);

}  // namespace sgmv
