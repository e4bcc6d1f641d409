// What the tests of the CUDA backend share: opening it, and running one operation on it and on the
// CPU backend with the same values.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/create_backend.h"
#include "cpu_fixture.h"
#include "model/convert.h"

namespace sgmv {

inline bool has_gpu() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0) return true;
  std::printf("skipped: no GPU\n");
  return false;
}

inline std::unique_ptr<Backend> create_cuda(const std::string& options = "{}") {
  return create_backend({.kind = "cuda", .plugin_options = options});
}

inline float from_bf16(uint16_t value) { return to_float(&value, DType::kBF16, 0); }

inline float round_to_bf16(float value) { return from_bf16(to_bf16(value)); }

// Activations that a bf16 holds exactly.
inline Activations random_activations(int num_rows, int num_cols, std::mt19937& random,
                                      int stride = 0) {
  Activations a = Activations::random(num_rows, num_cols, random, stride);
  for (float& value : a.values) value = round_to_bf16(value);
  return a;
}

// Activations in the memory of the CUDA backend.
class DeviceActivations {
 public:
  DeviceActivations(Backend& backend, const Activations& values)
      : matrix_(backend.allocate(memory_, values.num_rows, values.stride)) {
    matrix_.num_cols = values.num_cols;
    std::vector<uint16_t> bits(values.values.size());
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = to_bf16(values.values[i]);
    CHECK(cudaMemcpy(matrix_.data, bits.data(), bits.size() * 2, cudaMemcpyHostToDevice) ==
          cudaSuccess);
  }

  Matrix matrix() const { return matrix_; }

  void read(Activations& out) const {
    std::vector<uint16_t> bits(out.values.size());
    CHECK(cudaMemcpy(bits.data(), matrix_.data, bits.size() * 2, cudaMemcpyDeviceToHost) ==
          cudaSuccess);
    for (size_t i = 0; i < bits.size(); ++i) out.values[i] = from_bf16(bits[i]);
  }

 private:
  DeviceMemory memory_;
  Matrix matrix_;
};

inline Matrix columns(Matrix m, int first, int count, const Backend& backend) {
  m.data = static_cast<char*>(m.data) + int64_t{first} * backend.activation_bytes();
  m.num_cols = count;
  return m;
}

// |actual - expected| / |expected|, over all values; NaN counts as infinite.
inline double relative_error(const std::vector<float>& actual, const std::vector<float>& expected) {
  double difference = 0;
  double size = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double{actual[i]} - expected[i], 2);
    size += std::pow(double{expected[i]}, 2);
  }
  const double error = std::sqrt(difference / std::max(size, 1e-30));
  return std::isnan(error) ? INFINITY : error;
}

// An operation on a backend: its matrices, in the order given to compare().
using Operation = std::function<void(Backend& backend, std::vector<Matrix>& matrices)>;

// Runs `operation` inside a step on both backends. All matrices must agree afterwards.
inline void compare(const std::string& name, Backend& cpu, Backend& cuda, const Batch& cpu_batch,
                    const Batch& cuda_batch, std::vector<Activations> matrices,
                    const Operation& operation, double tolerance = 4e-3) {
  std::vector<DeviceActivations> on_device;
  std::vector<Matrix> device_matrices, host_matrices;
  for (Activations& m : matrices) {
    on_device.emplace_back(cuda, m);
    device_matrices.push_back(on_device.back().matrix());
    host_matrices.push_back(m.matrix());
  }
  std::vector<Activations> results = matrices;
  cuda.run_step(cuda_batch, [&] { operation(cuda, device_matrices); }, {});
  cpu.run_step(cpu_batch, [&] { operation(cpu, host_matrices); }, {});
  for (size_t i = 0; i < matrices.size(); ++i) {
    on_device[i].read(results[i]);
    const double error = relative_error(results[i].values, matrices[i].values);
    if (error <= tolerance) continue;
    std::fprintf(stderr, "%s: matrix %zu of [%d, %d] has a relative error of %g\n", name.c_str(), i,
                 matrices[i].num_rows, matrices[i].num_cols, error);
    std::exit(1);
  }
}

}  // namespace sgmv
