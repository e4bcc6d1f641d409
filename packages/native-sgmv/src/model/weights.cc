#include "model/weights.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "model/convert.h"
#include "model/random.h"
#include "model/safetensors.h"

namespace sgmv {
namespace {

// Where load_weights() takes tensors from, by their name in a Hugging Face checkpoint.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual HostMatrix matrix(const std::string& name, int num_rows, int num_cols) = 0;
  virtual std::vector<float> vector(const std::string& name, int size) = 0;
};

class CheckpointTensors final : public TensorSource {
 public:
  explicit CheckpointTensors(const std::string& folder)
      : tensors_(Safetensors::open_folder(folder)) {}

  HostMatrix matrix(const std::string& name, int num_rows, int num_cols) override {
    return tensors_.matrix(name, num_rows, num_cols);
  }
  std::vector<float> vector(const std::string& name, int size) override {
    return to_f32(tensors_.vector(name, size));
  }

 private:
  Safetensors tensors_;
};

// Every matrix is a window of one block of random numbers, each at another offset.
class RandomTensors final : public TensorSource {
 public:
  explicit RandomTensors(const ModelConfig& config) {
    const int64_t widest =
        std::max({config.vocab_size, config.intermediate_size, config.num_heads * config.head_dim});
    block_.resize(static_cast<size_t>(widest * config.hidden_size) + kMaxOffset);
    fill_random_bf16(block_, kSeed, kBound);
  }

  HostMatrix matrix(const std::string&, int num_rows, int num_cols) override {
    offset_ = (offset_ + kOffsetStep) % kMaxOffset;
    return {block_.data() + offset_, DType::kBF16, num_rows, num_cols};
  }
  std::vector<float> vector(const std::string& name, int size) override {
    // Norms are ones, biases are noughts, as training begins.
    return std::vector<float>(size, name.ends_with("bias") ? 0.0f : 1.0f);
  }

 private:
  static constexpr uint64_t kSeed = 1;
  static constexpr float kBound =
      0.035f;  // a standard deviation of 0.02, as checkpoints start with
  static constexpr size_t kMaxOffset = size_t{1} << 20;
  static constexpr size_t kOffsetStep = 104'729;  // a prime, so that offsets come back late

  std::vector<uint16_t> block_;
  size_t offset_ = 0;
};

std::unique_ptr<TensorSource> open_source(const ModelConfig& config, const std::string& folder,
                                          WeightSource source) {
  if (source == WeightSource::kRandom) return std::make_unique<RandomTensors>(config);
  return std::make_unique<CheckpointTensors>(folder);
}

struct Part {
  const char* name;
  int num_rows;
};

size_t loaded_bytes(const Backend& backend, const HostMatrix& matrix) {
  return static_cast<size_t>(matrix.num_rows) * matrix.num_cols *
         backend.weight_bytes(matrix.dtype);
}

// Loads the parts of one stacked projection, with their biases where there are any, and adds what
// they take to `num_bytes`.
std::unique_ptr<Weights> load_projection(Backend& backend, TensorSource& tensors,
                                         const std::string& prefix, std::span<const Part> parts,
                                         int num_cols, bool has_bias, size_t& num_bytes) {
  std::vector<HostMatrix> matrices;
  std::vector<float> bias;
  for (const Part& part : parts) {
    const std::string name = prefix + part.name;
    matrices.push_back(tensors.matrix(name + ".weight", part.num_rows, num_cols));
    num_bytes += loaded_bytes(backend, matrices.back());
    if (!has_bias) continue;
    const std::vector<float> values = tensors.vector(name + ".bias", part.num_rows);
    bias.insert(bias.end(), values.begin(), values.end());
  }
  return backend.load_linear(matrices, bias);
}

LayerWeights load_layer(Backend& backend, TensorSource& tensors, const ModelConfig& config,
                        int index, size_t& num_bytes) {
  const std::string prefix = "model.layers." + std::to_string(index) + ".";
  const auto load_norm = [&](const char* name, int size) {
    return backend.load_vector(tensors.vector(prefix + name, size));
  };
  const int hidden = config.hidden_size;
  const int q_rows = config.num_heads * config.head_dim;
  const int kv_rows = config.num_kv_heads * config.head_dim;
  const std::array<Part, 3> qkv{{{"q_proj", q_rows}, {"k_proj", kv_rows}, {"v_proj", kv_rows}}};
  const std::array<Part, 1> o{{{"o_proj", hidden}}};
  const std::array<Part, 2> gate_up{
      {{"gate_proj", config.intermediate_size}, {"up_proj", config.intermediate_size}}};
  const std::array<Part, 1> down{{{"down_proj", hidden}}};
  const std::string attention = prefix + "self_attn.";
  const std::string mlp = prefix + "mlp.";

  LayerWeights layer;
  layer.input_norm = load_norm("input_layernorm.weight", hidden);
  layer.qkv = load_projection(backend, tensors, attention, qkv, hidden, config.qkv_bias, num_bytes);
  if (config.qk_norm) {
    layer.q_norm = load_norm("self_attn.q_norm.weight", config.head_dim);
    layer.k_norm = load_norm("self_attn.k_norm.weight", config.head_dim);
  }
  layer.o = load_projection(backend, tensors, attention, o, q_rows, config.o_bias, num_bytes);
  layer.post_norm = load_norm("post_attention_layernorm.weight", hidden);
  layer.gate_up =
      load_projection(backend, tensors, mlp, gate_up, hidden, config.mlp_bias, num_bytes);
  layer.down = load_projection(backend, tensors, mlp, down, config.intermediate_size,
                               config.mlp_bias, num_bytes);
  return layer;
}

}  // namespace

ModelWeights load_weights(Backend& backend, const ModelConfig& config, const std::string& folder,
                          WeightSource source) {
  const std::unique_ptr<TensorSource> tensors = open_source(config, folder, source);
  ModelWeights weights;
  const HostMatrix embedding =
      tensors->matrix("model.embed_tokens.weight", config.vocab_size, config.hidden_size);
  weights.embedding = backend.load_embedding(embedding);
  for (int i = 0; i < config.num_layers; ++i) {
    weights.layers.push_back(load_layer(backend, *tensors, config, i, weights.bytes_per_step));
  }
  weights.final_norm =
      backend.load_vector(tensors->vector("model.norm.weight", config.hidden_size));
  const HostMatrix lm_head =
      config.tie_embeddings
          ? embedding
          : tensors->matrix("lm_head.weight", config.vocab_size, config.hidden_size);
  weights.lm_head = backend.load_linear({&lm_head, 1}, {});
  weights.bytes_per_step += loaded_bytes(backend, lm_head);
  return weights;
}

}  // namespace sgmv
