#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

void CpuBackend::embed(Matrix y, const Weights& table) {
  const auto& embedding = static_cast<const CpuEmbedding&>(table);
  const int n = embedding.num_cols;
  for_rows(y.num_rows, n, [&](int t) {
    const int64_t first = int64_t{batch_->tokens[t]} * n;
    float* out = row(y, t);
    if (embedding.dtype == DType::kF32) {
      std::memcpy(out, embedding.table.data() + first * sizeof(float), n * sizeof(float));
    } else {
      for (int i = 0; i < n; ++i) {
        out[i] = to_float(embedding.table.data(), embedding.dtype, first + i);
      }
    }
  });
}

}  // namespace sgmv
