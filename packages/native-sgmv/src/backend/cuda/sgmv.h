#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "backend/cuda/sgmv_layout.h"
#include "backend/tensor.h"

namespace sgmv {

// SGMV on CUDA: y[t] += scale_i * (x[t] A_i^T) B_i^T for the rows t of every segment i, for all
// modules of a group in one launch; x and weights f16, y and sums f32. Beside a dense product that
// is still writing y, it stores what is to be added in a matrix of its own instead (delta.h).
//
// A step calls launch_sgmv_plan() once and launch_sgmv() once for every layer and group. None of
// them allocates or waits. What they launch depends on the sizes in SgmvPlan alone, never on the
// segments, ranks or adapters, so a CUDA graph that holds them may be replayed for any other batch
// of at most as many rows. The result for a row depends on that row and its adapter alone, bit for
// bit, whatever else is in the batch.

// Memory for the plan of a step: which cluster of thread blocks does what, and which modules each
// row's adapter targets, for every layer and group.
struct SgmvPlan {
  void* memory;  // sgmv_plan_bytes() on the device, from a multiple of 16 on
  int num_layers;
  int max_rows;
  int max_segments;
};

size_t sgmv_plan_bytes(int num_layers, int max_rows, int max_segments);

// The segments of a step. Everything is in device memory.
struct SgmvBatch {
  const int32_t* num_segments;  // [1], at most max_segments
  const int32_t* s;             // [num_segments + 1], s[num_segments] at most max_rows
  const void* const* adapters;  // [num_segments]: device adapters (sgmv_layout.h); null: none
};

// Works out the plan for `batch`. Costs one launch of num_layers * 4 small blocks.
void launch_sgmv_plan(const SgmvPlan& plan, const SgmvGroups& groups, const SgmvBatch& batch,
                      cudaStream_t stream);

// [plan.max_rows], in the plan's memory: bit m is set if the row's adapter targets module m of the
// group. Zero for rows without adapter and for those behind the batch.
const uint8_t* sgmv_targets(const SgmvPlan& plan, int layer, Group group);

// When an SGMV kernel may begin to fetch weights, and what it does to y.
enum class SgmvStart {
  kInOrder,      // after everything before it in the stream; needed right behind launch_sgmv_plan()
  kEarly,        // while the kernel before it still runs (programmatic dependent launch, sm_90): it
                 // reads the plan and the weights ahead, and waits before it touches x and y
  kWithProduct,  // beside a kernel that lets it start only when x and the plan are there: it stores
                 // to y, which that kernel must not use, and waits for it only at its own end
};

// x is [rows, d_in] and y is [rows, sum of d_out]; x.data, y.data, and strides in bytes are
// multiples of 16. Rows without adapter are neither read nor written, and modules that a row's
// adapter does not target are not written.
void launch_sgmv(const SgmvPlan& plan, const SgmvGroups& groups, int layer, Group group, Matrix x,
                 Matrix y, SgmvStart start, cudaStream_t stream);

}  // namespace sgmv
