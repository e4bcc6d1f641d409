#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

// Collects the segments whose adapter targets `group`, in pieces of few enough rows to be shared
// out.
void CpuBackend::find_segments(int layer, Group group) {
  constexpr int kMaxRows = 24;
  segments_.clear();
  v_stride_ = 0;
  const Segments& segments = batch_->segments;
  for (int i = 0; i < segments.num_segments; ++i) {
    if (batch_->adapters[i] == nullptr) continue;
    const auto& adapter = static_cast<const CpuAdapter&>(*batch_->adapters[i]);
    const CpuLoraGroup& lora = adapter.layers[layer][static_cast<int>(group)];
    if (lora.a.num_rows == 0) continue;
    for (int t = segments.s[i]; t < segments.s[i + 1]; t += kMaxRows) {
      segments_.push_back({&lora, t, std::min(kMaxRows, segments.s[i + 1] - t)});
      v_stride_ = std::max(v_stride_, round_up(lora.a.num_rows, kPanelRows));
    }
  }
}

void CpuBackend::sgmv_shrink(Matrix x, int layer, Group group) {
  find_segments(layer, group);
  if (segments_.empty()) return;
  const size_t v_size = static_cast<size_t>(x.num_rows) * v_stride_;
  if (v_.size() < v_size) v_.resize(v_size);

  const auto shrink = [&](int index, int /*thread*/) {
    const auto& [lora, first_row, num_rows] = segments_[index];
    const PackedMatrix& a = lora->a;
    float* v = v_.data() + int64_t{first_row} * v_stride_;
    const GemmArgs args{.panels = a.panels,
                        .panel_stride = static_cast<int64_t>(panel_bytes(a.dtype, a.num_cols)),
                        .k = a.num_cols,
                        .x = row(x, first_row),
                        .x_stride = x.stride,
                        .y = v,
                        .y_stride = v_stride_,
                        .num_rows = num_rows,
                        .num_cols = round_up(a.num_rows, kPanelRows),
                        .init = nullptr,
                        .init_stride = 0};
    (a.dtype == DType::kBF16 ? kernels_.gemm_bf16 : kernels_.gemm_f32)(args);
    // The scale joins v, which is short, rather than y; it is exact for every power of two.
    for (const CpuLoraGroup::Part& part : lora->parts) {
      if (part.scale == 1) continue;
      for (int t = 0; t < num_rows; ++t) {
        float* v_t = v + int64_t{t} * v_stride_ + part.first_rank_col;
        for (int r = 0; r < part.b.num_cols; ++r) v_t[r] *= part.scale;
      }
    }
  };

  const int num_tasks = static_cast<int>(segments_.size());
  if (is_worth_sharing(int64_t{x.num_rows} * x.num_cols * v_stride_)) {
    pool_.run(num_tasks, shrink);
  } else {
    for (int i = 0; i < num_tasks; ++i) shrink(i, 0);
  }
}

}  // namespace sgmv
