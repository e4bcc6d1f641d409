#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/launch.cuh"

// Bytes: 2 a value read from the table, 4 written, for hidden_size values a row; no FLOPs.

namespace sgmv {
namespace {

constexpr int kThreads = 256;

// Grid: (rows). y[t] = table[tokens[t]], 16 bytes a thread.
__global__ void embed_kernel(float* y, int y_stride, const f16* table, const int32_t* tokens,
                             int num_cols) {
  begin_kernel();
  const int t = blockIdx.x;
  const f16* row = table + static_cast<int64_t>(tokens[t]) * num_cols;
  float* y_t = y + static_cast<int64_t>(t) * y_stride;
  for (int i = threadIdx.x * 8; i < num_cols; i += kThreads * 8)
    Octet::load(row + i).store(y_t + i);
}

}  // namespace

void CudaBackend::embed(Matrix y, const Weights& table) {
  const auto& embedding = static_cast<const CudaMatrix&>(table);
  launch(embed_kernel, dim3(step_rows(y)), kThreads, 0, stream_, data<float>(y), y.stride,
         reinterpret_cast<const f16*>(embedding.values.data()), arrays_.tokens, embedding.num_cols);
}

}  // namespace sgmv
