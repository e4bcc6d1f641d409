#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {
namespace {

constexpr int kWorkPerElement = 4;

const float* values_of(const Weights& w) { return static_cast<const CpuVector&>(w).values.data(); }

}  // namespace

void CpuBackend::rms_norm(Matrix y, Matrix x, const Weights& w, float eps) {
  for_rows(x.num_rows, int64_t{kWorkPerElement} * x.num_cols,
           [&](int t) { kernels_.rms_norm(row(y, t), row(x, t), values_of(w), x.num_cols, eps); });
}

void CpuBackend::add_rms_norm(Matrix y, Matrix residual, Matrix x, const Weights& w, float eps) {
  for_rows(x.num_rows, int64_t{kWorkPerElement} * x.num_cols, [&](int t) {
    kernels_.add(row(residual, t), row(x, t), x.num_cols);
    kernels_.rms_norm(row(y, t), row(residual, t), values_of(w), x.num_cols, eps);
  });
}

void CpuBackend::head_rms_norm(Matrix x, const Weights& w, float eps) {
  for_rows(x.num_rows, int64_t{kWorkPerElement} * x.num_cols, [&](int t) {
    for (int col = 0; col < x.num_cols; col += shape_.head_dim) {
      float* head = row(x, t) + col;
      kernels_.rms_norm(head, head, values_of(w), shape_.head_dim, eps);
    }
  });
}

}  // namespace sgmv
