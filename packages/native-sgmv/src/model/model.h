#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "backend/backend.h"
#include "model/config.h"

namespace sgmv {

// Where the weights come from.
enum class WeightSource : uint8_t {
  kCheckpoint,  // the folder's safetensors
  kRandom,      // config.json alone, for measurement
};

struct ModelOptions {
  std::string folder;
  WeightSource source = WeightSource::kCheckpoint;
  int max_rows = 0;    // the most rows of one step
  int page_size = 16;  // tokens per KV page
};

// A Llama-family decoder on a backend: its weights, its scratch, and its forward pass.
class Model {
 public:
  virtual ~Model() = default;
  virtual const ModelConfig& config() const = 0;
  // Bytes of weights that every step reads.
  virtual size_t weight_bytes() const = 0;
  // One step over `batch`: samples[i] is for batch.samples[i].
  virtual void step(const Batch& batch, std::span<Sample> samples) = 0;
};

// Loads the model and calls backend.set_shape(). Throws std::runtime_error naming the file and the
// tensor that is missing, misshapen or of an unsupported type.
std::unique_ptr<Model> load_model(Backend& backend, const ModelOptions& options);

// Reads and checks a PEFT LoRA folder (adapter_config.json, adapter_model.safetensors) for a base
// model. Throws std::runtime_error naming the field or tensor at fault.
std::unique_ptr<HostAdapter> read_adapter(const std::string& folder, const ModelConfig& config);

// An adapter of random weights on the modules given, for measurement and tests.
std::unique_ptr<HostAdapter> random_adapter(const ModelConfig& config, int rank,
                                            std::span<const Module> modules, uint64_t seed);

}  // namespace sgmv
