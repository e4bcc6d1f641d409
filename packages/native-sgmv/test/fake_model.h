#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "model/model.h"

namespace sgmv {

constexpr int kFakePageSize = 4;
constexpr int kFakeVocab = 1000;
constexpr int kFakeMaxPositions = 64;
constexpr int32_t kPoison = 999;  // a token that makes the step fail

// What the engine's tests share with their backend and model: the pool, as memory that both KV
// pages and adapters really write to, so that a slot used twice is seen in the tokens.
struct FakeDevice {
  std::vector<std::pair<int32_t, int32_t>> slots;  // [num_slots * page size]: {token, adapter}
  std::atomic<bool> copies_finish{true};
  std::atomic<bool> copies_fail{false};
  std::atomic<size_t> free_bytes{0};
  std::atomic<bool> lost{false};  // kPoison fails the step either way
  std::atomic<int> max_rows{0};
};

struct FakeAdapter final : DeviceAdapter {
  int32_t id;
  int first_slot;
  int num_slots;
};

// The fake adapters have only a rank, which serves as their identity and their number of slots.
inline std::unique_ptr<HostAdapter> fake_adapter(int rank) {
  auto adapter = std::make_unique<HostAdapter>();
  adapter->max_rank = rank;
  adapter->layers.resize(1);
  adapter->storage.resize(static_cast<size_t>(rank) * 100);
  return adapter;
}

class FakeBackend final : public Backend {
 public:
  explicit FakeBackend(FakeDevice& device) : device_(device) {}

  std::string describe() const override { return "fake"; }
  DeviceInfo device() const override {
    return {.kind = "fake", .name = "fake", .total_bytes = 100, .free_bytes = device_.free_bytes};
  }
  bool is_lost() override { return device_.lost; }
  size_t page_bytes() const override { return 1; }
  void reserve_pool(int num_slots) override {
    device_.slots.assign(static_cast<size_t>(num_slots) * kFakePageSize, {});
  }
  size_t adapter_bytes(const HostAdapter& adapter) const override { return adapter.max_rank; }
  std::unique_ptr<DeviceAdapter> place_adapter(const HostAdapter& host, int first_slot) override {
    if (device_.copies_fail) throw std::runtime_error("copy failed");
    auto adapter = std::make_unique<FakeAdapter>();
    adapter->id = host.max_rank;
    adapter->first_slot = first_slot;
    adapter->num_slots = host.max_rank;
    for (int i = 0; i < adapter->num_slots * kFakePageSize; ++i) {
      device_.slots.at(first_slot * kFakePageSize + i) = {-1, adapter->id};
    }
    return adapter;
  }
  bool adapter_ready(const DeviceAdapter&) override { return device_.copies_finish; }

  void set_shape(const ModelShape&) override {}
  Matrix allocate(DeviceMemory&, int, int) override { return {}; }
  std::unique_ptr<Weights> load_linear(std::span<const HostMatrix>,
                                       std::span<const float>) override {
    return nullptr;
  }
  std::unique_ptr<Weights> load_embedding(const HostMatrix&) override { return nullptr; }
  std::unique_ptr<Weights> load_vector(std::span<const float>) override { return nullptr; }
  void load_rope(std::span<const float>, std::span<const float>) override {}
  void run_step(const Batch&, const std::function<void()>&, std::span<Sample>) override {}
  void embed(Matrix, const Weights&) override {}
  void rms_norm(Matrix, Matrix, const Weights&, float) override {}
  void add_rms_norm(Matrix, Matrix, Matrix, const Weights&, float) override {}
  void head_rms_norm(Matrix, const Weights&, float) override {}
  void linear(Matrix, Matrix, const Weights&) override {}
  void sgmv_shrink(Matrix, int, Group) override {}
  void sgmv_expand(Matrix, int, Group) override {}
  void rope_append(Matrix, Matrix, Matrix, int) override {}
  void attention(Matrix, Matrix, int) override {}
  void silu_mul(Matrix, Matrix) override {}
  void logits(Matrix, const Weights&) override {}
  void read_logits(std::span<float>) override {}

 private:
  FakeDevice& device_;
};

// The next token after `tokens` with an adapter of `rank` (0: the base model): never kPoison.
inline int32_t fake_next_token(std::span<const int32_t> tokens, int rank) {
  uint32_t hash = 17 + static_cast<uint32_t>(rank);
  for (const int32_t token : tokens) hash = (hash ^ static_cast<uint32_t>(token)) * 16777619u;
  return static_cast<int32_t>((hash >> 8) % (kFakeVocab - 1));
}

// Writes each token to its sequence's page and reads the whole context back from there.
class FakeModel final : public Model {
 public:
  explicit FakeModel(FakeDevice& device) : device_(device) {
    config_.num_layers = 1;
    config_.hidden_size = config_.head_dim = config_.intermediate_size = 8;
    config_.num_heads = config_.num_kv_heads = 1;
    config_.vocab_size = kFakeVocab;
    config_.max_positions = kFakeMaxPositions;
  }

  const ModelConfig& config() const override { return config_; }
  size_t weight_bytes() const override { return 1; }

  void step(const Batch& batch, std::span<Sample> samples) override {
    if (batch.num_rows > device_.max_rows) device_.max_rows = batch.num_rows;
    size_t next_sample = 0;
    for (int seq = 0; seq < batch.num_seqs; ++seq) {
      const int32_t adapter = adapter_of(batch, batch.row_start[seq]);
      for (int row = batch.row_start[seq]; row < batch.row_start[seq + 1]; ++row) {
        if (batch.tokens[row] == kPoison) throw std::runtime_error("poison");
        at(batch, seq, batch.positions[row]) = {batch.tokens[row], adapter};
      }
      const int last_row = batch.row_start[seq + 1] - 1;
      if (next_sample == samples.size() || batch.samples[next_sample].row != last_row) continue;
      std::vector<int32_t> context;
      for (int position = 0; position < batch.context_len[seq]; ++position) {
        const auto& [token, written_with] = at(batch, seq, position);
        context.push_back(written_with == adapter ? token : -1);
      }
      samples[next_sample].token = fake_next_token(context, adapter);
      samples[next_sample++].logprob = -1;
    }
  }

 private:
  std::pair<int32_t, int32_t>& at(const Batch& batch, int seq, int position) {
    const int page = batch.pages[batch.page_start[seq] + position / kFakePageSize];
    return device_.slots.at(page * kFakePageSize + position % kFakePageSize);
  }

  // The adapter of a row, whose slots must be as place_adapter() left them.
  int32_t adapter_of(const Batch& batch, int row) {
    int i = 0;
    while (batch.segments.s[i + 1] <= row) ++i;
    const auto* adapter = static_cast<const FakeAdapter*>(batch.adapters[i]);
    if (adapter == nullptr) return 0;
    for (int slot = 0; slot < adapter->num_slots * kFakePageSize; ++slot) {
      const std::pair<int32_t, int32_t> expected{-1, adapter->id};
      if (device_.slots.at(adapter->first_slot * kFakePageSize + slot) != expected) {
        throw std::runtime_error("an adapter was overwritten");
      }
    }
    return adapter->id;
  }

  FakeDevice& device_;
  ModelConfig config_{};
};

}  // namespace sgmv
