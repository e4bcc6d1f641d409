#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

void CpuBackend::silu_mul(Matrix y, Matrix gate_up) {
  constexpr int kWorkPerElement = 16;
  const int n = y.num_cols;
  for_rows(y.num_rows, int64_t{kWorkPerElement} * n,
           [&](int t) { kernels_.silu_mul(row(y, t), row(gate_up, t), row(gate_up, t) + n, n); });
}

}  // namespace sgmv
