#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

// Continues from sgmv_shrink() of the same layer and group: its segments and its v.
void CpuBackend::sgmv_expand(Matrix y, int /*layer*/, Group /*group*/) {
  if (segments_.empty()) return;
  const auto expand = [&](int index, int /*thread*/) {
    const auto& [lora, first_row, num_rows] = segments_[index];
    for (const CpuLoraGroup::Part& part : lora->parts) {
      float* out = row(y, first_row) + part.first_col;
      const GemmArgs args{
          .panels = part.b.panels,
          .panel_stride = static_cast<int64_t>(panel_bytes(part.b.dtype, part.b.num_cols)),
          .k = part.b.num_cols,
          .x = v_.data() + int64_t{first_row} * v_stride_ + part.first_rank_col,
          .x_stride = v_stride_,
          .y = out,
          .y_stride = y.stride,
          .num_rows = num_rows,
          .num_cols = part.b.num_rows,
          .init = out,
          .init_stride = y.stride};
      (part.b.dtype == DType::kBF16 ? kernels_.gemm_bf16 : kernels_.gemm_f32)(args);
    }
  };

  const int num_tasks = static_cast<int>(segments_.size());
  if (is_worth_sharing(int64_t{y.num_rows} * y.num_cols * v_stride_ / 2)) {
    pool_.run(num_tasks, expand);
  } else {
    for (int i = 0; i < num_tasks; ++i) expand(i, 0);
  }
}

}  // namespace sgmv
