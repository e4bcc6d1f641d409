#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {
namespace {

// A task is one tile's width of columns, so that its weights stay in the first-level cache while
// all its rows go by.
constexpr int kTaskPanels = 4;

int rows_per_task(int num_rows, int num_column_tasks, int num_threads) {
  constexpr int kMinRows = 48;
  const int wanted_tasks = 4 * num_threads;
  const int row_tasks = (wanted_tasks + num_column_tasks - 1) / num_column_tasks;
  return std::max(kMinRows, (num_rows + row_tasks - 1) / row_tasks);
}

}  // namespace

void CpuBackend::linear(Matrix y, Matrix x, const Weights& w) {
  multiply(y, x, static_cast<const CpuLinear&>(w));
}

void CpuBackend::multiply(Matrix y, Matrix x, const CpuLinear& linear) {
  const PackedMatrix& w = linear.w;
  const int64_t stride = static_cast<int64_t>(panel_bytes(w.dtype, w.num_cols));
  const float* bias = linear.bias.empty() ? nullptr : linear.bias.data();
  GemmArgs all{.panels = w.panels,
               .panel_stride = stride,
               .k = w.num_cols,
               .x = x.data,
               .x_stride = x.stride,
               .y = row(y, 0),
               .y_stride = y.stride,
               .num_rows = x.num_rows,
               .num_cols = w.num_rows,
               .init = bias,
               .init_stride = 0};
  auto* gemm = w.dtype == DType::kBF16 ? kernels_.gemm_bf16 : kernels_.gemm_f32;
  if (bf16_compute_ && w.dtype == DType::kBF16) {
    gemm = kernels_.gemm_bf16_pairs;
    all.x_stride = (x.num_cols + 1) / 2;
    x_pairs_.resize(std::max<size_t>(x_pairs_.size(), x.num_rows * all.x_stride));
    for_rows(x.num_rows, x.num_cols, [&](int t) {
      kernels_.to_bf16_pairs(x_pairs_.data() + t * all.x_stride, row(x, t), x.num_cols);
    });
    all.x = x_pairs_.data();
  }
  if (!is_worth_sharing(int64_t{x.num_rows} * w.num_rows * w.num_cols)) return gemm(all);

  const size_t x_element = sizeof(float);  // or a pair of bf16
  const int num_column_tasks = (num_panels(w.num_rows) + kTaskPanels - 1) / kTaskPanels;
  const int task_rows = rows_per_task(x.num_rows, num_column_tasks, pool_.num_threads());
  const int num_row_tasks = (x.num_rows + task_rows - 1) / task_rows;
  pool_.run(num_column_tasks * num_row_tasks, [&](int index, int /*thread*/) {
    const int first_panel = index / num_row_tasks * kTaskPanels;
    const int first_col = first_panel * kPanelRows;
    const int first_row = index % num_row_tasks * task_rows;
    GemmArgs part = all;
    part.panels += first_panel * stride;
    part.x = static_cast<const uint8_t*>(all.x) + first_row * all.x_stride * x_element;
    part.y += first_row * all.y_stride + first_col;
    part.num_rows = std::min(task_rows, all.num_rows - first_row);
    part.num_cols = std::min(kTaskPanels * kPanelRows, all.num_cols - first_col);
    if (bias != nullptr) part.init = bias + first_col;
    gemm(part);
  });
}

}  // namespace sgmv
