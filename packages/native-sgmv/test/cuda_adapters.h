// Random adapters in the pools of both backends.
#pragma once

#include <thread>

#include "cuda_pair.h"

namespace sgmv {

struct TestAdapter {
  HostAdapter host;
  std::vector<OwnedMatrix> matrices;
  std::unique_ptr<DeviceAdapter> on_cpu, on_cuda;
};

// With sizes that are no multiples of 16 or 32.
inline ModelShape adapter_shape() {
  ModelShape shape = small_shape();
  shape.num_layers = 2;
  shape.num_heads = 8;
  shape.head_dim = 32;
  shape.hidden_size = 136;
  shape.intermediate_size = 200;
  return shape;
}

inline TestAdapter random_test_adapter(const ModelShape& shape, std::mt19937& random) {
  TestAdapter adapter;
  adapter.matrices.reserve(2 * kNumModules * shape.num_layers);
  adapter.host.layers.resize(shape.num_layers);
  const DType dtype = uniform(random, 0, 1) == 0 ? DType::kBF16 : DType::kF32;
  for (auto& layer : adapter.host.layers) {
    for (int m = 0; m < kNumModules; ++m) {
      const int rank = uniform(random, 0, 3) == 0 ? 0 : uniform(random, 1, 80);
      if (rank == 0) continue;
      const auto [out, in] = dims_of(shape, m);
      const auto add = [&](int rows, int cols) {
        return adapter.matrices.emplace_back(random_matrix(rows, cols, dtype, random, 0.1f)).host;
      };
      const HostMatrix a = add(rank, in);
      layer[m] = {.rank = rank, .scale = 0.7f, .a = a, .b = add(out, rank)};
    }
  }
  return adapter;
}

// Adapters of which most leave some modules out, behind the first `num_pages` pages of the pools.
class AdapterPool {
 public:
  AdapterPool(Pair& pair, const ModelShape& shape, int num_pages, std::mt19937& random) {
    std::vector<int> cpu_slots{num_pages}, cuda_slots{num_pages};
    for (int i = 0; i < kNumAdapters; ++i) {
      const HostAdapter& host = adapters_.emplace_back(random_test_adapter(shape, random)).host;
      const auto next = [&](std::vector<int>& slots, const Backend& backend) {
        slots.push_back(slots.back() +
                        static_cast<int>(backend.adapter_bytes(host) / backend.page_bytes() + 1));
      };
      next(cpu_slots, *pair.cpu);
      next(cuda_slots, *pair.cuda);
    }
    pair.cpu->reserve_pool(cpu_slots.back());
    pair.cuda->reserve_pool(cuda_slots.back());
    for (int i = 0; i < kNumAdapters; ++i) {
      TestAdapter& adapter = adapters_[i];
      adapter.on_cpu = pair.cpu->place_adapter(adapter.host, cpu_slots[i]);
      adapter.on_cuda = pair.cuda->place_adapter(adapter.host, cuda_slots[i]);
      while (!pair.cpu->adapter_ready(*adapter.on_cpu)) std::this_thread::yield();
      while (!pair.cuda->adapter_ready(*adapter.on_cuda)) std::this_thread::yield();
    }
  }

  // Segments of so many rows each, with any adapter or none.
  void add_segments(StepArrays& cpu_step, StepArrays& cuda_step, const std::vector<int>& lengths,
                    std::mt19937& random) const {
    for (const int length : lengths) {
      const int adapter = uniform(random, -1, kNumAdapters - 1);
      cpu_step.add_segment(length, adapter < 0 ? nullptr : adapters_[adapter].on_cpu.get());
      cuda_step.add_segment(length, adapter < 0 ? nullptr : adapters_[adapter].on_cuda.get());
    }
  }

 private:
  static constexpr int kNumAdapters = 6;

  std::vector<TestAdapter> adapters_;
};

}  // namespace sgmv
