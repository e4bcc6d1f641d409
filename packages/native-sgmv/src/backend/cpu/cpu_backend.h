#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/copy_thread.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/packed_matrix.h"
#include "backend/cpu/sampler.h"
#include "backend/cpu/thread_pool.h"

namespace sgmv {

struct CpuOptions {
  int num_threads = 0;        // 0: one for each core
  bool bf16_compute = false;  // round activations to bf16 where the CPU multiplies it
  std::optional<CpuIsa> max_isa = std::nullopt;  // for tests: leave better instructions unused
};

std::unique_ptr<Backend> create_cpu_backend(const CpuOptions& options);

// y = x w^T + bias, w being the parts of load_linear() stacked.
struct CpuLinear final : Weights {
  AlignedBytes memory{nullptr, nullptr};
  PackedMatrix w;
  std::vector<float> bias;  // empty or one value a row of w
};

struct CpuEmbedding final : Weights {
  std::vector<uint8_t> table;  // as in the checkpoint
  DType dtype;
  int num_cols;
};

struct CpuVector final : Weights {
  std::vector<float> values;
};

// The modules of a group: kQ, kK and kV for kQkv, ...
struct ModuleRange {
  int first;
  int end;
};

constexpr ModuleRange modules_of(Group group) {
  constexpr ModuleRange ranges[kNumGroups] = {{0, 3}, {3, 4}, {4, 6}, {6, 7}};
  return ranges[static_cast<int>(group)];
}

// One group of one layer of an adapter, in the pool.
struct CpuLoraGroup {
  struct Part {
    PackedMatrix b;      // [d_out, rank]
    int first_rank_col;  // where the module's columns begin in v
    int first_col;       // and in y
    float scale;
  };
  PackedMatrix a;  // [sum of ranks, d_in]: the modules' A stacked; no rows: group not targeted
  std::vector<Part> parts;
};

struct CpuAdapter final : DeviceAdapter {
  ~CpuAdapter() override;
  std::vector<std::array<CpuLoraGroup, kNumGroups>> layers;
  // Shared with the thread that copies, which may still be notifying when the adapter is gone.
  std::shared_ptr<std::atomic<bool>> is_ready = std::make_shared<std::atomic<bool>>(false);
};

constexpr Group kGroups[kNumGroups] = {Group::kQkv, Group::kO, Group::kGateUp, Group::kDown};

// Memory that one thread's attention reuses from task to task.
class AttentionScratch {
 public:
  // Makes room for kMaxAttentionRows rows of scores and of sums.
  void reserve(int num_keys, int width);
  float* scores() { return reinterpret_cast<float*>(memory_.get()); }
  float* sums() { return scores() + num_score_floats_; }

  std::vector<KvBlock> blocks;

 private:
  AlignedBytes memory_{nullptr, nullptr};
  size_t num_floats_ = 0;
  size_t num_score_floats_ = 0;
};

// Runs everything in f32 on the calling thread and the pool's. What the operations mean is said in
// backend.h; each is a file of its own here. The result for a row depends on that row (and its
// sequence) alone: not on the other rows, nor on how many there are, nor on the number of threads.
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options);

  std::string describe() const override;
  DeviceInfo device() const override;
  double measure_read_rate() const override;
  void set_shape(const ModelShape& shape) override;
  Matrix allocate(DeviceMemory& owner, int num_rows, int num_cols) override;
  std::unique_ptr<Weights> load_linear(std::span<const HostMatrix> parts,
                                       std::span<const float> bias) override;
  std::unique_ptr<Weights> load_embedding(const HostMatrix& table) override;
  std::unique_ptr<Weights> load_vector(std::span<const float> values) override;
  void load_rope(std::span<const float> cos, std::span<const float> sin) override;
  size_t page_bytes() const override;
  void reserve_pool(int num_slots) override;
  size_t adapter_bytes(const HostAdapter& adapter) const override;
  std::unique_ptr<DeviceAdapter> place_adapter(const HostAdapter& adapter, int first_slot) override;
  bool adapter_ready(const DeviceAdapter& adapter) override;

  void run_step(const Batch& batch, const std::function<void()>& forward,
                std::span<Sample> samples) override;

  void embed(Matrix y, const Weights& table) override;
  void rms_norm(Matrix y, Matrix x, const Weights& w, float eps) override;
  void add_rms_norm(Matrix y, Matrix residual, Matrix x, const Weights& w, float eps) override;
  void head_rms_norm(Matrix x, const Weights& w, float eps) override;
  void linear(Matrix y, Matrix x, const Weights& w) override;
  void sgmv_shrink(Matrix x, int layer, Group group) override;
  void sgmv_expand(Matrix y, int layer, Group group) override;
  void rope_append(Matrix q, Matrix k, Matrix v, int layer) override;
  void attention(Matrix y, Matrix q, int layer) override;
  void silu_mul(Matrix y, Matrix gate_up) override;
  void logits(Matrix x, const Weights& w) override;
  void read_logits(std::span<float> out) override;

 private:
  // Rows of one segment with an adapter that targets the group at hand.
  struct SegmentRows {
    const CpuLoraGroup* lora;
    int first_row;
    int num_rows;
  };

  // Rows [first_row, end_row) of one sequence.
  struct AttentionTask {
    int seq;
    int first_row;
    int end_row;
  };

  // Calls operation(row) for each row; on all threads if that is worth it.
  template <typename Operation>
  void for_rows(int num_rows, int64_t row_work, const Operation& operation);
  // Whether so many multiply-adds, or what takes as long, pay for handing them to other threads.
  bool is_worth_sharing(int64_t work) const;

  void multiply(Matrix y, Matrix x, const CpuLinear& w);
  void find_segments(int layer, Group group);
  void sample_all(std::span<Sample> samples);
  void attend_task(Matrix y, Matrix q, int layer, const AttentionTask& task, int kv_head,
                   AttentionScratch& scratch);
  void find_blocks(std::vector<KvBlock>& blocks, int seq, int layer, int kv_head, int begin,
                   int end) const;
  float* kv_block(int page, int layer, bool is_value, int head, int block) const;

  const Kernels& kernels_;
  const bool bf16_compute_;
  mutable ThreadPool pool_;

  ModelShape shape_{};
  int padded_head_dim_ = 0;
  int blocks_per_page_ = 0;
  std::vector<float> rope_cos_;  // [max_positions, head_dim / 2]
  std::vector<float> rope_sin_;
  AlignedBytes slots_{nullptr, nullptr};

  const Batch* batch_ = nullptr;   // of the step under way
  std::vector<uint32_t> x_pairs_;  // linear()'s input in bf16
  std::vector<SegmentRows> segments_;
  std::vector<float> v_;  // between shrink and expand: [num_rows, v_stride_]
  int v_stride_ = 0;
  std::vector<int> row_seq_;  // the sequence of each row
  std::vector<AttentionTask> attention_tasks_;
  std::vector<AttentionScratch> attention_scratch_;  // one a thread
  std::vector<float> sampled_x_;                     // [samples, hidden_size]
  std::vector<float> logits_;                        // [samples, vocab_size]
  std::vector<SamplerScratch> sampler_scratch_;      // one a thread
  CopyThread copy_thread_;                           // Last: it writes to the slots.
};

}  // namespace sgmv
