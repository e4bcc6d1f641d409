#pragma once

#include <cstdint>
#include <optional>

namespace sgmv {

// Instruction sets the kernels are compiled for, each a superset of the one before.
enum class CpuIsa : uint8_t { kPortable, kAvx2, kAvx512 };

// y[t] = init[t] + x[t] w^T for num_rows rows and num_cols columns of y. Every element is one chain
// of fused multiply-adds over k in ascending order, so its value depends neither on the other rows
// nor on how rows and columns are divided among calls.
struct GemmArgs {
  const uint8_t* panels;  // packed_matrix.h; the first one holds column 0
  int64_t panel_stride;   // bytes
  int k;
  const void* x;     // f32; for gemm_bf16_pairs: words of two bf16, as panels have them
  int64_t x_stride;  // elements of x
  float* y;
  int64_t y_stride;
  int num_rows;
  int num_cols;
  const float* init;  // null: zero
  int64_t init_stride;
};

// Keys and values are kept in blocks of this many tokens, whatever the page size.
constexpr int kKvBlock = 16;

// The keys [first_key, first_key + num_keys) of one sequence and KV head in the KV cache.
struct KvBlock {
  const float* k;  // [head_dim][kKvBlock]
  const float* v;  // [kKvBlock][padded head_dim]
  int first_key;
  int num_keys;
};

// Rows of one attention call: pairs of token and query head that read the same KV head.
constexpr int kMaxAttentionRows = 8;

struct AttentionRow {
  const float* q;  // [head_dim]
  float* y;        // [head_dim]
  int begin;       // the keys that the row sees: [begin, end)
  int end;
};

struct AttentionArgs {
  const KvBlock* blocks;  // all that any row sees
  int num_blocks;
  int head_dim;
  float scale;  // of the dot products
  const AttentionRow* rows;
  int num_rows;   // at most kMaxAttentionRows
  float* scores;  // scratch: [num_rows][num_blocks * kKvBlock], 64-byte aligned
  float* sums;    // scratch: [num_rows][padded head_dim], 64-byte aligned
};

struct Summary {
  float max;
  bool all_finite;
};

// The loops that are worth vector instructions, compiled once for each instruction set. Rows are
// contiguous, n long.
struct Kernels {
  const char* name;
  void (*gemm_f32)(const GemmArgs& args);
  void (*gemm_bf16)(const GemmArgs& args);  // bf16 weights widened, f32 activations: exact
  // Activations rounded to bf16; null where the processor does not multiply bf16.
  void (*gemm_bf16_pairs)(const GemmArgs& args);
  void (*to_bf16_pairs)(uint32_t* out, const float* x, int n);
  void (*attention)(const AttentionArgs& args);
  void (*rms_norm)(float* y, const float* x, const float* w, int n, float eps);
  void (*add)(float* y, const float* x, int n);                             // y += x
  void (*silu_mul)(float* y, const float* gate, const float* up, int n);    // y = silu(gate) * up
  void (*rotate)(float* x, const float* cos, const float* sin, int half);   // in place
  void (*exp)(float* y, const float* x, int n, float max, float inv_temp);  // e^((x-max)*inv_temp)
  Summary (*summarize)(const float* x, int n);
};

// The best kernels that this processor runs, at most those of `max_isa`.
const Kernels& select_kernels(std::optional<CpuIsa> max_isa);

const Kernels& portable_kernels();
#if defined(__x86_64__)
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_bf16_kernels();
#endif

}  // namespace sgmv
