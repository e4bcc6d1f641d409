#pragma once

#include "backend/cuda/delta.h"
#include "backend/cuda/launch.cuh"

namespace sgmv {

// Row t of the delta from column `first` on, or null if the row has none; what it points to is
// there after wait_for_previous_kernels(). This may be called before: where there is a delta, SGMV
// ran beside a product, which has let it start when the plan was there.
__device__ inline const float* row_of(const Delta& delta, int64_t t, int first = 0) {
  if (delta.values == nullptr || (__ldcg(delta.targets + t) >> delta.module & 1) == 0)
    return nullptr;
  return delta.values + t * delta.stride + first;
}

__device__ inline void add_pair(float2& y, const float* delta) {
  const float2 other = *reinterpret_cast<const float2*>(delta);
  y.x += other.x;
  y.y += other.y;
}

}  // namespace sgmv
