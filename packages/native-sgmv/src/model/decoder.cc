#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "model/model.h"
#include "model/rope.h"
#include "model/weights.h"

namespace sgmv {
namespace {

// The activations of one step: one row for each row of the batch.
struct Activations {
  Matrix residual;   // [max_rows, hidden]: the stream that layers add to
  Matrix x;          // [max_rows, hidden]: a norm of it, what projections read
  Matrix qkv;        // [max_rows, (num_heads + 2 num_kv_heads) head_dim]
  Matrix attention;  // [max_rows, num_heads head_dim]
  Matrix gate_up;    // [max_rows, 2 intermediate]
  Matrix product;    // [max_rows, intermediate]
  Matrix y;          // [max_rows, hidden]: what o and down write
};

ModelShape to_shape(const ModelConfig& config, int page_size) {
  return {.num_layers = config.num_layers,
          .hidden_size = config.hidden_size,
          .num_heads = config.num_heads,
          .num_kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .intermediate_size = config.intermediate_size,
          .vocab_size = config.vocab_size,
          .max_positions = config.max_positions,
          .sliding_window = config.sliding_window,
          .page_size = page_size};
}

class Decoder final : public Model {
 public:
  Decoder(Backend& backend, ModelConfig config, ModelWeights weights, int max_rows)
      : backend_(backend),
        config_(std::move(config)),
        weights_(std::move(weights)),
        max_rows_(max_rows) {
    const int q_cols = config_.num_heads * config_.head_dim;
    const int kv_cols = config_.num_kv_heads * config_.head_dim;
    activations_ = {.residual = allocate(config_.hidden_size),
                    .x = allocate_operands(config_.hidden_size, OperandRange::kBounded),
                    .qkv = allocate(q_cols + 2 * kv_cols),
                    .attention = allocate_operands(q_cols, OperandRange::kBounded),
                    .gate_up = allocate(2 * config_.intermediate_size),
                    .product = allocate_operands(config_.intermediate_size, OperandRange::kProduct),
                    .y = allocate(config_.hidden_size)};
  }

  const ModelConfig& config() const override { return config_; }
  size_t weight_bytes() const override { return weights_.bytes_per_step; }

  void step(const Batch& batch, std::span<Sample> samples) override {
    if (batch.num_rows < 1 || batch.num_rows > max_rows_) {
      throw std::invalid_argument("a step of " + std::to_string(batch.num_rows) +
                                  " rows, the model was loaded for 1 to " +
                                  std::to_string(max_rows_));
    }
    backend_.run_step(
        batch, [&] { forward(batch.num_rows); }, samples);
  }

 private:
  Matrix allocate(int num_cols) {
    return backend_.allocate(memory_.emplace_back(), max_rows_, num_cols);
  }

  Matrix allocate_operands(int num_cols, OperandRange range) {
    return backend_.allocate_operands(memory_.emplace_back(), max_rows_, num_cols, range);
  }

  static Matrix columns(Matrix m, int first, int num_cols) {
    m.data = static_cast<float*>(m.data) + first;
    m.num_cols = num_cols;
    return m;
  }

  void forward(int num_rows) {
    Activations a = activations_;
    for (Matrix* m : {&a.residual, &a.x, &a.qkv, &a.attention, &a.gate_up, &a.product, &a.y}) {
      m->num_rows = num_rows;
    }
    backend_.embed(a.residual, *weights_.embedding);
    for (int i = 0; i < config_.num_layers; ++i) {
      attend(a, i);
      feed_forward(a, i);
    }
    backend_.add_rms_norm(a.x, a.residual, a.y, *weights_.final_norm, config_.rms_norm_eps);
    backend_.logits(a.x, *weights_.lm_head);
  }

  // y = o(attention(qkv(norm(residual)))). The sum of the layer before, still in y, joins the
  // residual stream on the way.
  void attend(const Activations& a, int index) {
    const LayerWeights& layer = weights_.layers[index];
    if (index == 0) {
      backend_.rms_norm(a.x, a.residual, *layer.input_norm, config_.rms_norm_eps);
    } else {
      backend_.add_rms_norm(a.x, a.residual, a.y, *layer.input_norm, config_.rms_norm_eps);
    }
    project(a.qkv, a.x, *layer.qkv, index, Group::kQkv);
    const int q_cols = config_.num_heads * config_.head_dim;
    const int kv_cols = config_.num_kv_heads * config_.head_dim;
    const Matrix q = columns(a.qkv, 0, q_cols);
    const Matrix k = columns(a.qkv, q_cols, kv_cols);
    const Matrix v = columns(a.qkv, q_cols + kv_cols, kv_cols);
    if (config_.qk_norm) {
      backend_.head_rms_norm(q, *layer.q_norm, config_.rms_norm_eps);
      backend_.head_rms_norm(k, *layer.k_norm, config_.rms_norm_eps);
    }
    backend_.rope_append(q, k, v, index);
    backend_.attention(a.attention, q, index);
    project(a.y, a.attention, *layer.o, index, Group::kO);
    backend_.all_reduce(a.y);
  }

  // y = down(silu(gate(x)) * up(x)), x = norm(residual += y)
  void feed_forward(const Activations& a, int index) {
    const LayerWeights& layer = weights_.layers[index];
    backend_.add_rms_norm(a.x, a.residual, a.y, *layer.post_norm, config_.rms_norm_eps);
    project(a.gate_up, a.x, *layer.gate_up, index, Group::kGateUp);
    backend_.silu_mul(a.product, a.gate_up);
    project(a.y, a.product, *layer.down, index, Group::kDown);
    backend_.all_reduce(a.y);
  }

  // y = x w^T + bias, and what each row's adapter adds. Shrink stands first since it may run beside
  // the dense product.
  void project(Matrix y, Matrix x, const Weights& w, int layer, Group group) {
    backend_.sgmv_shrink(x, layer, group);
    backend_.linear(y, x, w);
    backend_.sgmv_expand(y, layer, group);
  }

  Backend& backend_;
  ModelConfig config_;
  ModelWeights weights_;
  int max_rows_;
  std::vector<DeviceMemory> memory_;
  Activations activations_{};
};

}  // namespace

std::unique_ptr<Model> load_model(Backend& backend, const ModelOptions& options) {
  if (options.max_rows < 1) throw std::invalid_argument("max_rows must be at least 1");
  if (options.page_size < 1) throw std::invalid_argument("page_size must be at least 1");
  const ModelConfig config = read_model_config(options.folder);
  backend.set_shape(to_shape(config, options.page_size));
  const RopeTable rope = rope_table(config);
  backend.load_rope(rope.cos, rope.sin);
  return std::make_unique<Decoder>(backend, config,
                                   load_weights(backend, config, options.folder, options.source),
                                   options.max_rows);
}

}  // namespace sgmv
