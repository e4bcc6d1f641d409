#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "backend/batch.h"
#include "backend/lora.h"
#include "backend/tensor.h"

namespace sgmv {

// Weights in the layout and the memory of a backend. Only that backend looks inside.
class Weights {
 public:
  virtual ~Weights() = default;
};

// Memory of a backend with one owner.
using DeviceMemory = std::unique_ptr<void, std::function<void(void*)>>;

// The device that a backend runs on, and its memory.
struct DeviceInfo {
  const char* kind;  // "cpu" or "cuda"
  std::string name;
  size_t total_bytes;
  size_t free_bytes;  // by now
};

// How large operands may become: what a norm or attention writes is bounded by the weights before
// it, what silu_mul() writes is not.
enum class OperandRange : uint8_t { kBounded, kProduct };

// What the operations need to know of a model. Set once, before the first step.
struct ModelShape {
  int num_layers;
  int hidden_size;
  int num_heads;
  int num_kv_heads;
  int head_dim;
  int intermediate_size;
  int vocab_size;
  int max_positions;
  int sliding_window;  // 0: none
  int page_size;       // tokens per KV page
};

// The operations that a Llama with LoRA needs, and no others. The model is written once against
// this interface. The CPU backend says what each operation means; the CUDA backend must agree with
// it. x, y, v, w and s are the paper's; t is a row of the batch.
//
// The operations of a step are called inside the function handed to run_step(), in the model's
// order, from one thread. They take rows, segments, positions and pages from that step's batch.
// Outside run_step() nothing below the first section may be called.
class Backend {
 public:
  virtual ~Backend() = default;

  // ---- setting up; not on the step's path ----

  virtual std::string describe() const = 0;
  virtual DeviceInfo device() const = 0;
  // Bytes a second at which the device reads its memory, measured by this call in some
  // milliseconds; 0 where the backend does not measure it.
  virtual double measure_read_rate() const { return 0; }

  virtual void set_shape(const ModelShape& shape) = 0;

  // Activations of num_rows * num_cols f32, zeroed.
  virtual Matrix allocate(DeviceMemory& owner, int num_rows, int num_cols) = 0;
  // Activations that dense products and SGMV read: x of linear(), of sgmv_shrink() and of
  // logits(), y of the norms, of attention() and of silu_mul(). Zeroed, in a type that the backend
  // chooses, and never cut into column ranges.
  virtual Matrix allocate_operands(DeviceMemory& owner, int num_rows, int num_cols,
                                   OperandRange /*range*/) {
    return allocate(owner, num_rows, num_cols);
  }

  // Bytes that one element of a projection or an embedding takes, of those stored as `dtype`.
  virtual int weight_bytes(DType dtype) const { return dtype == DType::kBF16 ? 2 : sizeof(float); }

  // Rows of all parts stacked: [sum(parts.num_rows), num_cols]. `bias` is empty or one value a row.
  virtual std::unique_ptr<Weights> load_linear(std::span<const HostMatrix> parts,
                                               std::span<const float> bias) = 0;
  virtual std::unique_ptr<Weights> load_embedding(const HostMatrix& table) = 0;
  virtual std::unique_ptr<Weights> load_vector(std::span<const float> values) = 0;
  // cos and sin of every position, each [max_positions, head_dim / 2], for rope_append().
  virtual void load_rope(std::span<const float> cos, std::span<const float> sin) = 0;

  // The one pool that KV pages and adapters share: num_slots slots of page_bytes(). KV page p is
  // slot p; an adapter takes a run of consecutive slots.
  virtual size_t page_bytes() const = 0;
  virtual void reserve_pool(int num_slots) = 0;

  // Host memory for the adapters that prepare_adapter() will be given. Once, before them.
  virtual void reserve_host_adapters(size_t /*num_bytes*/) {}
  // Brings an adapter that was just read into the form that place_adapter() copies fastest. Once,
  // and before that, from any thread, beside a running step. False when what is left of the memory
  // reserved is not in one piece.
  virtual bool prepare_adapter(HostAdapter& /*adapter*/) const { return true; }

  // Bytes that `adapter` takes in the pool.
  virtual size_t adapter_bytes(const HostAdapter& adapter) const = 0;
  // Starts to copy `adapter` into the slots from `first_slot` on. It may be used in a batch once
  // adapter_ready() says so; `adapter` must stay alive until then. Never waits for a running step.
  virtual std::unique_ptr<DeviceAdapter> place_adapter(const HostAdapter& adapter,
                                                       int first_slot) = 0;
  virtual bool adapter_ready(const DeviceAdapter& adapter) = 0;

  // ---- one step ----

  // Runs `forward` over `batch` (or replays what an earlier call of the same shape recorded), then
  // samples: samples[i] is for batch.samples[i]. Returns when the samples are in host memory.
  virtual void run_step(const Batch& batch, const std::function<void()>& forward,
                        std::span<Sample> samples) = 0;

  // Whether the device can run no further step, asked after one that failed.
  virtual bool is_lost() { return false; }

  // ---- operations, inside `forward` ----

  // y[t] = table[tokens[t]]
  virtual void embed(Matrix y, const Weights& table) = 0;

  // y[t] = w * x[t] / sqrt(mean(x[t]^2) + eps)
  virtual void rms_norm(Matrix y, Matrix x, const Weights& w, float eps) = 0;

  // residual[t] += x[t]; y[t] = w * residual[t] / sqrt(mean(residual[t]^2) + eps)
  virtual void add_rms_norm(Matrix y, Matrix residual, Matrix x, const Weights& w, float eps) = 0;

  // rms_norm over each head_dim columns of x by itself, in place (Qwen3's q_norm and k_norm).
  virtual void head_rms_norm(Matrix x, const Weights& w, float eps) = 0;

  // y[t] = x[t] w^T + bias
  virtual void linear(Matrix y, Matrix x, const Weights& w) = 0;

  // v[t] = x[t] A_i^T for the rows t of each segment i, for the modules of `group` side by side;
  // then y[t] += scale_i * v[t] B_i^T, the modules' outputs at the columns where load_linear()
  // stacked them. v stays inside the backend. Shrink may run beside the linear() between the two.
  // What expand adds may stay inside, too, until the operation that reads the module's columns of y
  // next (a norm, rope_append() or silu_mul()), which must read all of them.
  // Ranks may differ by segment and module; a segment without adapter, or whose adapter does not
  // target the group, costs nothing. (Punica, section 4.)
  virtual void sgmv_shrink(Matrix x, int layer, Group group) = 0;
  virtual void sgmv_expand(Matrix y, int layer, Group group) = 0;

  // q, k, v are column ranges of the qkv projection. Rotates q and k in place by the position of
  // their row (half-split pairs, as Hugging Face's rotate_half), then writes k and v to the pages.
  virtual void rope_append(Matrix q, Matrix k, Matrix v, int layer) = 0;

  // y[t] = softmax(q[t] K^T / sqrt(head_dim)) V over positions j <= positions[t] of t's own
  // sequence (and j > positions[t] - sliding_window where there is one), each query head with its
  // KV head.
  virtual void attention(Matrix y, Matrix q, int layer) = 0;

  // y[t] = silu(gate_up[t, :n]) * gate_up[t, n:], n = y.num_cols
  virtual void silu_mul(Matrix y, Matrix gate_up) = 0;

  // Sums y over the processes that share the model (tensor parallelism); nothing where there is
  // one.
  virtual void all_reduce(Matrix /*y*/) {}

  // logits[i] = x[batch.samples[i].row] w^T, f32; kept inside the backend for the sampling at the
  // end of run_step().
  virtual void logits(Matrix x, const Weights& w) = 0;

  // ---- for tests and golden files: the last step's logits, [samples.size(), vocab_size] ----
  virtual void read_logits(std::span<float> out) = 0;
};

}  // namespace sgmv
