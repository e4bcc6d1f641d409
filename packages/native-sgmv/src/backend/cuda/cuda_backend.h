#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/copy_thread.h"
#include "backend/cuda/attention.h"
#include "backend/cuda/cuda_adapter.h"
#include "backend/cuda/delta.h"
#include "backend/cuda/dense_product.h"
#include "backend/cuda/device_memory.h"
#include "backend/cuda/kv_layout.h"
#include "backend/cuda/pinned_arena.h"
#include "backend/cuda/sampler.h"
#include "backend/cuda/sgmv.h"
#include "backend/cuda/step_arrays.h"
#include "backend/cuda/stream.h"

namespace sgmv {

struct CudaOptions {
  int device = 0;
  bool graphs = true;
  bool same_bits = true;  // of dense products, whatever the number of rows
  std::string cublas_lt;  // a file that is tried before the usual ones
};

constexpr int kMaxNormCols = 32768;
constexpr float kProductScale = 64;

// Throws where the kernels were not built for the card, saying so.
void check_code(const std::string& card);

// f16, row by row: an embedding table.
struct CudaMatrix final : Weights {
  DeviceArray<uint16_t> values;
  int num_cols = 0;
};

// y = x w^T + bias, w being the parts of load_linear() stacked, f16.
struct CudaLinear final : Weights {
  DeviceArray<uint16_t> w;
  DeviceArray<float> bias;
  int num_rows = 0;
  int num_cols = 0;
};

struct CudaVector final : Weights {
  DeviceArray<float> values;
};

// Runs a step on one GPU. Each operation is a file of its own, as under cpu/. The result for a row
// depends on that row and its sequence alone, as far as cuBLASLt lets it (dense_product.h).
//
// Activations and sums are f32. What tensor cores multiply is f16: weights, adapters, keys, values
// and operands. Of the 16-bit types it is the more exact by three bits, and holds bf16 weights as
// they are from 2^-17 to 65504; smaller ones are rounded to multiples of 2^-24. Operands of
// kProduct are stored divided by kProductScale, an exact power of two, to make room at the upper
// end; what is too large even so becomes the largest number.
//
// Steps in which every sequence decodes are recorded as CUDA graphs, one for each bucket of rows,
// with and without adapters, when their shape comes a second time; the graphs' rows beyond the
// batch compute nothing that anybody reads.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options);
  ~CudaBackend() override;

  std::string describe() const override;
  DeviceInfo device() const override;
  double measure_read_rate() const override;
  void set_shape(const ModelShape& shape) override;
  Matrix allocate(DeviceMemory& owner, int num_rows, int num_cols) override;
  Matrix allocate_operands(DeviceMemory& owner, int num_rows, int num_cols,
                           OperandRange range) override;
  int weight_bytes(DType /*dtype*/) const override { return sizeof(uint16_t); }
  std::unique_ptr<Weights> load_linear(std::span<const HostMatrix> parts,
                                       std::span<const float> bias) override;
  std::unique_ptr<Weights> load_embedding(const HostMatrix& table) override;
  std::unique_ptr<Weights> load_vector(std::span<const float> values) override;
  void load_rope(std::span<const float> cos, std::span<const float> sin) override;
  size_t page_bytes() const override;
  void reserve_pool(int num_slots) override;
  void reserve_host_adapters(size_t num_bytes) override;
  bool prepare_adapter(HostAdapter& adapter) const override;
  size_t adapter_bytes(const HostAdapter& adapter) const override;
  std::unique_ptr<DeviceAdapter> place_adapter(const HostAdapter& adapter, int first_slot) override;
  bool adapter_ready(const DeviceAdapter& adapter) override;

  void run_step(const Batch& batch, const std::function<void()>& forward,
                std::span<Sample> samples) override;
  bool is_lost() override;

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
  // Which recorded step fits a batch: so many rows, with or without adapters.
  struct GraphKey {
    int num_rows;
    bool has_adapters;
    auto operator<=>(const GraphKey&) const = default;
  };

  // What SGMV stored beside the product that wrote the columns from y on; null: it is taken.
  struct PendingDelta {
    const float* y = nullptr;
    Delta delta;
  };

  template <typename T>
  static T* data(const Matrix& m) {
    return static_cast<T*>(m.data);
  }
  static const float* vector_of(const Weights& w) {
    return static_cast<const CudaVector&>(w).values.data();
  }
  // Rows that a kernel works on: those of the matrix, or of the graph that is being recorded.
  int step_rows(const Matrix& m) const { return graph_rows_ > 0 ? graph_rows_ : m.num_rows; }
  KvLayout kv_layout() const;
  AttentionArgs attention_args(Matrix y, Matrix q, int layer) const;

  bool is_recordable(const Batch& batch) const;
  void prepare_step(const Batch& batch, int num_rows, bool recordable);
  void plan_adapters();
  // What the operation that reads the module's outputs from y on, the first since sgmv_expand(),
  // must add to them.
  Delta take_delta(const float* y);
  void forward_by_graph(GraphKey key, const std::function<void()>& forward);
  Graph record(GraphKey key, const std::function<void()>& forward);
  void copy_adapter(const HostAdapter& adapter, void* memory);
  void upload(DeviceArray<uint16_t>& to, size_t first, const HostMatrix& matrix);

  // Makes `buffer` hold `size` elements; graphs that knew it are forgotten if it moves.
  template <typename T>
  void grow(DeviceArray<T>& buffer, size_t size, const char* purpose);

  const CudaOptions options_;
  std::string name_;  // of the device
  Stream stream_;
  Stream copy_stream_;
  DenseProduct product_;
  Sampler sampler_;

  ModelShape shape_{};
  SgmvGroups groups_{};
  DeviceArray<float> rope_cos_;  // [max_positions, head_dim / 2]
  DeviceArray<float> rope_sin_;
  DeviceBytes pool_;
  std::shared_ptr<PinnedArena> host_adapters_;

  const Batch* batch_ = nullptr;  // of the step under way
  StepUpload upload_;
  StepArrays arrays_{};
  SgmvPlan plan_{};
  DeviceArray<uint8_t> plan_memory_;
  Matrix shrink_x_{};  // between shrink and expand, which are one launch
  SgmvStart sgmv_start_ = SgmvStart::kInOrder;
  DeviceArray<float> delta_;  // [kMaxSkinnyRows, outputs of a group], of one group at a time
  PendingDelta pending_deltas_[kMaxGroupModules];
  DeviceArray<float> chunk_sums_;  // of decode attention
  DeviceArray<uint32_t> arrived_;
  DeviceArray<uint16_t> sampled_x_;  // [samples, hidden_size]
  DeviceArray<float> logits_;        // [samples, vocab_size]
  int num_logits_rows_ = 0;

  int graph_rows_ = 0;                // while recording
  std::map<GraphKey, Graph> graphs_;  // an empty one: seen once

  std::atomic<bool> copy_failed_{false};  // of an adapter
  PinnedBytes staging_;  // of the thread that copies, for adapters that were not prepared
  size_t staging_bytes_ = 0;
  CopyThread copy_thread_;  // Last: it writes to the pool.
};

}  // namespace sgmv
