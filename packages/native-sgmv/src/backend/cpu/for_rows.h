#pragma once

#include "backend/cpu/cpu_backend.h"

namespace sgmv {

inline float* row(const Matrix& m, int t) {
  return static_cast<float*>(m.data) + int64_t{t} * m.stride;
}

template <typename Operation>
void CpuBackend::for_rows(int num_rows, int64_t row_work, const Operation& operation) {
  if (!is_worth_sharing(num_rows * row_work)) {
    for (int t = 0; t < num_rows; ++t) operation(t);
    return;
  }
  const int num_chunks = std::min(num_rows, 4 * pool_.num_threads());
  pool_.run(num_chunks, [&](int chunk, int /*thread*/) {
    const int end = static_cast<int>(int64_t{num_rows} * (chunk + 1) / num_chunks);
    for (int t = static_cast<int>(int64_t{num_rows} * chunk / num_chunks); t < end; ++t) {
      operation(t);
    }
  });
}

}  // namespace sgmv
