#include <algorithm>
#include <utility>

#include "backend/cuda/cuda_backend.h"

namespace sgmv {

// Which thread blocks serve which segments, for all launches of the step.
void CudaBackend::plan_adapters() {
  launch_sgmv_plan(plan_, groups_, {arrays_.num_segments, arrays_.segment_start, arrays_.adapters},
                   stream_);
}

// Shrink and expand are one launch, after the dense product whose output it adds to; beside a
// skinny one it leaves the addition to whoever reads that output next.
void CudaBackend::sgmv_shrink(Matrix x, int /*layer*/, Group /*group*/) {
  shrink_x_ = x;
  sgmv_start_ = SgmvStart::kInOrder;  // if no product comes in between
  std::ranges::fill(pending_deltas_, PendingDelta{});
}

// One buffer serves all groups: a launch beside a product starts once that has waited for all
// kernels before it, among them those that add the delta of the group before. The operation that
// reads a group's y lies between its product and the next in every case: rope (qkv), the norms
// (o and down) and silu_mul (gate and up).
void CudaBackend::sgmv_expand(Matrix y, int layer, Group group) {
  if (upload_.sizes().num_segments == 0) return;
  if (sgmv_start_ != SgmvStart::kWithProduct) {
    launch_sgmv(plan_, groups_, layer, group, shrink_x_, y, sgmv_start_, stream_);
    return;
  }
  const Matrix delta{delta_.data(), y.num_rows, y.num_cols, y.num_cols};
  launch_sgmv(plan_, groups_, layer, group, shrink_x_, delta, sgmv_start_, stream_);
  const SgmvGroup& modules = groups_[static_cast<int>(group)];
  const uint8_t* targets = sgmv_targets(plan_, layer, group);
  int col = 0;
  for (int m = 0; m < modules.num_modules; ++m) {
    pending_deltas_[m] = {data<float>(y) + col, {delta_.data() + col, y.num_cols, targets, m}};
    col += modules.d_out[m];
  }
}

Delta CudaBackend::take_delta(const float* y) {
  for (PendingDelta& pending : pending_deltas_) {
    if (pending.y == y) return std::exchange(pending, {}).delta;
  }
  return {};
}

}  // namespace sgmv
