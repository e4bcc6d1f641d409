// What the tests of the CUDA backend share: opening it, and running one operation on it and on the
// CPU backend with the same values.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
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

inline float round_to_bf16(float value) {
  const uint16_t bits = to_bf16(value);
  return to_float(&bits, DType::kBF16, 0);
}

// Activations that an f16 holds exactly.
inline Activations random_activations(int num_rows, int num_cols, std::mt19937& random,
                                      int stride = 0) {
  Activations a = Activations::random(num_rows, num_cols, random, stride);
  for (float& value : a.values) value = round_to_bf16(value);
  return a;
}

// A matrix of a test, and for operands how large they may become.
struct TestMatrix {
  TestMatrix(Activations activations) : values(std::move(activations)) {}
  TestMatrix(Activations activations, OperandRange range)
      : values(std::move(activations)), operands(range) {}

  Activations values;
  std::optional<OperandRange> operands{};
};

inline TestMatrix operands(Activations values) {
  return {std::move(values), OperandRange::kBounded};
}

// A test's matrix in the memory of the CUDA backend.
class DeviceActivations {
 public:
  DeviceActivations(Backend& backend, const TestMatrix& m)
      : is_f16_(m.operands.has_value()),
        matrix_(is_f16_ ? backend.allocate_operands(memory_, m.values.num_rows, m.values.stride,
                                                    *m.operands)
                        : backend.allocate(memory_, m.values.num_rows, m.values.stride)) {
    matrix_.num_cols = m.values.num_cols;
    std::vector<float> values = m.values.values;
    for (float& value : values) value /= matrix_.scale;
    const int size = static_cast<int>(values.size());
    const std::vector<uint16_t> halves = to_f16({values.data(), DType::kF32, 1, size});
    CHECK(cudaMemcpy(matrix_.data,
                     is_f16_ ? static_cast<const void*>(halves.data()) : values.data(),
                     num_bytes(size), cudaMemcpyHostToDevice) == cudaSuccess);
    // The copy may return before its bytes are there, and the backend's stream waits for no other.
    CHECK(cudaStreamSynchronize(nullptr) == cudaSuccess);
  }

  Matrix matrix() const { return matrix_; }

  void read(Activations& out) const {
    const int size = static_cast<int>(out.values.size());
    std::vector<uint8_t> bytes(num_bytes(size));
    CHECK(cudaMemcpy(bytes.data(), matrix_.data, bytes.size(), cudaMemcpyDeviceToHost) ==
          cudaSuccess);
    out.values = to_f32({bytes.data(), is_f16_ ? DType::kF16 : DType::kF32, 1, size});
    for (float& value : out.values) value *= matrix_.scale;
  }

 private:
  size_t num_bytes(size_t size) const { return size * (is_f16_ ? 2 : 4); }

  bool is_f16_;
  DeviceMemory memory_;
  Matrix matrix_;
};

inline Matrix columns(Matrix m, int first, int count) {
  m.data = static_cast<float*>(m.data) + first;
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
                    const Batch& cuda_batch, std::vector<TestMatrix> matrices,
                    const Operation& operation, double tolerance = 5e-4) {
  std::vector<DeviceActivations> on_device;
  std::vector<Matrix> device_matrices, host_matrices;
  std::vector<Activations> results;
  for (TestMatrix& m : matrices) {
    on_device.emplace_back(cuda, m);
    device_matrices.push_back(on_device.back().matrix());
    host_matrices.push_back(m.values.matrix());
    results.push_back(m.values);
  }
  cuda.run_step(cuda_batch, [&] { operation(cuda, device_matrices); }, {});
  cpu.run_step(cpu_batch, [&] { operation(cpu, host_matrices); }, {});
  for (size_t i = 0; i < matrices.size(); ++i) {
    on_device[i].read(results[i]);
    const Activations& expected = matrices[i].values;
    const double error = relative_error(results[i].values, expected.values);
    if (error <= tolerance) continue;
    std::fprintf(stderr, "%s: matrix %zu of [%d, %d] has a relative error of %g\n", name.c_str(), i,
                 expected.num_rows, expected.num_cols, error);
    std::exit(1);
  }
}

}  // namespace sgmv
