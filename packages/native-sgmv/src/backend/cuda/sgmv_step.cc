#include "backend/cuda/cuda_backend.h"

namespace sgmv {

// Which thread blocks serve which segments, for all launches of the step.
void CudaBackend::plan_adapters() {
  launch_sgmv_plan(plan_, groups_, {arrays_.num_segments, arrays_.segment_start, arrays_.adapters},
                   stream_);
}

// Shrink and expand are one launch, after the dense product whose output it adds to; beside a
// skinny one it shrinks while that still runs.
void CudaBackend::sgmv_shrink(Matrix x, int /*layer*/, Group /*group*/) {
  shrink_x_ = x;
  sgmv_start_ = SgmvStart::kInOrder;  // if no product comes in between
}

void CudaBackend::sgmv_expand(Matrix y, int layer, Group group) {
  if (upload_.sizes().num_segments == 0) return;
  launch_sgmv(plan_, groups_, layer, group, shrink_x_, y, sgmv_start_, stream_);
}

}  // namespace sgmv
