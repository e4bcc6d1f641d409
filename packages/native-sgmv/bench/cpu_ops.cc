// GFLOP/s of linear() on one shape a line, by batch size: bench_cpu_ops [THREADS]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "backend/cpu/cpu_backend.h"

using namespace sgmv;

namespace {

struct Shape {
  int d_in;
  int d_out;
};

const Shape shapes[] = {{256, 512}, {256, 1024}, {512, 256}, {256, 4096}, {4096, 4096}};
const int batch_sizes[] = {1, 2, 4, 8, 24, 32, 128};

double best_seconds(Backend& backend, const Shape& shape, int batch_size) {
  const std::vector<uint16_t> values(static_cast<size_t>(shape.d_in) * shape.d_out, 0x3c00);
  const HostMatrix host{values.data(), DType::kBF16, shape.d_out, shape.d_in};
  const auto w = backend.load_linear({&host, 1}, {});
  DeviceMemory x_memory;
  DeviceMemory y_memory;
  const Matrix x = backend.allocate(x_memory, batch_size, shape.d_in);
  const Matrix y = backend.allocate(y_memory, batch_size, shape.d_out);
  double best = 1e9;
  backend.run_step(Batch{},
                   [&] {
                     for (int i = 0; i < 300; ++i) {
                       const auto start = std::chrono::steady_clock::now();
                       backend.linear(y, x, *w);
                       const auto end = std::chrono::steady_clock::now();
                       best = std::min(best, std::chrono::duration<double>(end - start).count());
                     }
                   },
                   {});
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int num_threads = argc > 1 ? std::atoi(argv[1]) : 0;
  for (const bool bf16 : {false, true}) {
    const auto backend = create_cpu_backend({.num_threads = num_threads, .bf16_compute = bf16});
    std::printf("%s\n%12s", backend->describe().c_str(), "rows");
    for (const int batch_size : batch_sizes) std::printf("%8d", batch_size);
    for (const Shape& shape : shapes) {
      std::printf("\n%5d x %4d", shape.d_in, shape.d_out);
      for (const int batch_size : batch_sizes) {
        const double flops = 2.0 * batch_size * shape.d_in * shape.d_out;
        std::printf("%8.1f", flops / best_seconds(*backend, shape, batch_size) * 1e-9);
      }
    }
    std::printf("\n");
  }
}
